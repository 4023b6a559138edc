-- The values of an answer's rows, as a sketch of keyed hashes
ALTER TABLE answer ADD COLUMN value_hashes BLOB;
-- Before, people were in it with each of their rows, and were counted up to a limit only: their rows are compared.
UPDATE answer SET people = NULL, persons = NULL;
-- Refusals are compared like answers, and people whatever column names them.
ALTER TABLE answer DROP COLUMN suppressed;
ALTER TABLE answer DROP COLUMN person;

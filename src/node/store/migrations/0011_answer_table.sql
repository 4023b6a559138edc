-- Who was in the whole table when an answer was given: NULL in answers of before
ALTER TABLE answer ADD COLUMN table_rows INTEGER;
ALTER TABLE answer ADD COLUMN table_people BLOB;
ALTER TABLE answer ADD COLUMN table_persons INTEGER;
-- Whether an answer is given again depends on nobody's values, and on no file's time.
ALTER TABLE answer DROP COLUMN value_hashes;
ALTER TABLE answer DROP COLUMN state;

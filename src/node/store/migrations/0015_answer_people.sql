-- A hash of database, columns and people that an answer told of: of answers to other questions that have the same one is
-- compared. NULL in answers of before.
ALTER TABLE answer ADD COLUMN people_hash BLOB;
CREATE INDEX answer_of_people ON answer (people_hash, question);

-- How many rows with a value each had who took part: NULL in answers of before.
ALTER TABLE answer ADD COLUMN value_counts BLOB;

-- How many different people took part: one of them can have many rows
ALTER TABLE answer ADD COLUMN persons INTEGER;

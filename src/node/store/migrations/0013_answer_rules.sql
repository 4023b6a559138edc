-- The column that said who rows are about, how many rows each had in the table, and whether nothing was told but that;
-- `limits` holds all rules under which an answer was given. Of answers of before these are not known.
ALTER TABLE answer ADD COLUMN person TEXT;
ALTER TABLE answer ADD COLUMN table_row_counts BLOB;
ALTER TABLE answer ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;

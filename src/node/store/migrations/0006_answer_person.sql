-- The column that said who took part: sketches of different columns are not compared. From here on `database` is the
-- label: the same data can be at another path.
ALTER TABLE answer ADD COLUMN person TEXT;

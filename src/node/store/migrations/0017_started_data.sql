-- With which data a run was started by an approval that holds for no others, and by which approval it was
ALTER TABLE started_run ADD COLUMN data TEXT;
ALTER TABLE started_run ADD COLUMN approval INTEGER;

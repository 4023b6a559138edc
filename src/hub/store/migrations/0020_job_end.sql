-- Until when a job makes sense, in seconds since 1970: a code that has ended is not mailed.
ALTER TABLE job ADD COLUMN until INTEGER;

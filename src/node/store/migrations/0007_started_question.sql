-- What is counted once, however often it starts: a run, or what the central function of a task asks
ALTER TABLE started_run ADD COLUMN question TEXT;

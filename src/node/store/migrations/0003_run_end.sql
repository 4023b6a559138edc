-- When the server was told of the end of a run (UTC): one that comes back after that begins anew
ALTER TABLE started_run ADD COLUMN ended_at TEXT;
CREATE INDEX started_run_open ON started_run (run_id) WHERE ended_at IS NULL;
CREATE INDEX review_waiting ON review (run_id) WHERE state = 'waiting';

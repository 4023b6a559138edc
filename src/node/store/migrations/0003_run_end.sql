-- When the server was told of the end of a run (UTC): one that comes back after that begins anew
ALTER TABLE started_run ADD COLUMN ended_at TEXT;

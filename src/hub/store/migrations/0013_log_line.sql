-- Lines of the log of a run that is under way: its report brings the whole log, and they go
CREATE TABLE log_line (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX log_line_of_run ON log_line (run_id);
-- Their length in bytes
ALTER TABLE run ADD COLUMN log_line_bytes INTEGER NOT NULL DEFAULT 0;

-- What a run was asked and what it gave, of up to 32 MiB each, in tables of their own: SQLite reads through what stands
-- before a column, so that each list of runs read through all of them.
CREATE TABLE run_input (
    run_id INTEGER PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE run_result (
    run_id INTEGER PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;
INSERT INTO run_input (run_id, text) SELECT id, input FROM run;
INSERT INTO run_result (run_id, text) SELECT id, result FROM run WHERE result IS NOT NULL;
ALTER TABLE run DROP COLUMN input;
ALTER TABLE run DROP COLUMN result;

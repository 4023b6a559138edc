-- What became of a run, until the server has it: it is sent again, and not computed again.
CREATE TABLE outcome (
    run_id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
-- What tells whether the data are still those that were there when an approval was given
ALTER TABLE review ADD COLUMN data TEXT;
UPDATE review SET data = json_extract(request, '$.data');

-- What nodes ask to have reviewed, and what was decided. Runs can be deleted; what was decided about them stays.
CREATE TABLE review (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    organization_id INTEGER NOT NULL REFERENCES organization ON DELETE CASCADE,
    collaboration_id INTEGER NOT NULL REFERENCES collaboration ON DELETE CASCADE,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    since TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    hash TEXT NOT NULL,
    mode TEXT NOT NULL,
    -- JSON: what is asked, as the node understood it
    request TEXT NOT NULL,
    only_at_node INTEGER NOT NULL DEFAULT 0,
    report TEXT,
    decided_by TEXT,
    decided_at TEXT,
    at_node INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    this_run_only INTEGER NOT NULL DEFAULT 1,
    until TEXT,
    runs INTEGER
) STRICT;
CREATE INDEX review_of_run ON review (run_id, subject);
CREATE INDEX review_of_organization ON review (organization_id, state);
CREATE INDEX review_of_hash ON review (organization_id, hash);

-- Runs that have started by an approval
CREATE TABLE review_use (
    review_id INTEGER NOT NULL REFERENCES review ON DELETE CASCADE,
    run_id INTEGER NOT NULL,
    PRIMARY KEY (review_id, run_id)
) STRICT, WITHOUT ROWID;

-- What a node has to remember by itself: reviews, held results, and which runs it started. Times are text in UTC.
CREATE TABLE review (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    -- run or result
    subject TEXT NOT NULL,
    -- The hash to which a decision is bound
    hash TEXT NOT NULL,
    mode TEXT NOT NULL,
    -- JSON: what is asked, as this node understood it
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    since TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    -- JSON: what to look at before a result is released
    report TEXT,
    -- The held result; gone when it was sent or withheld
    result TEXT,
    -- The id of the same review at the hub, and whether the hub knows the present state
    hub_id INTEGER,
    told INTEGER NOT NULL DEFAULT 0,
    decided_by TEXT,
    decided_at TEXT,
    at_node INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    -- How far an approval reaches
    this_run_only INTEGER NOT NULL DEFAULT 1,
    until TEXT,
    runs INTEGER,
    used INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX review_of_run ON review (run_id, subject);
CREATE INDEX review_of_hash ON review (hash, state);

-- Runs that were started, for the limit by day and for what is unusual
CREATE TABLE started_run (
    run_id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    user_id INTEGER,
    day TEXT NOT NULL,
    image TEXT NOT NULL,
    function TEXT NOT NULL,
    databases TEXT NOT NULL,
    columns TEXT NOT NULL
) STRICT;
CREATE INDEX started_run_of_user ON started_run (user_id, day);

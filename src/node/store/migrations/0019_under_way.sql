-- Runs that are computed at the moment, and how often the node died meanwhile
CREATE TABLE under_way (
    run_id INTEGER PRIMARY KEY,
    is_computed INTEGER NOT NULL DEFAULT 1,
    deaths INTEGER NOT NULL DEFAULT 0
);

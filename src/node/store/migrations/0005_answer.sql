-- Answers that were given, so that nobody is told apart by asking again after the data have changed
CREATE TABLE answer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The hash of function, arguments and database
    question TEXT NOT NULL,
    -- The database's path
    database TEXT NOT NULL,
    -- JSON: the columns, a list in order
    columns TEXT NOT NULL,
    -- What told whether the database was still the same
    state TEXT NOT NULL,
    -- JSON: the disclosure limits under which it was given
    limits TEXT NOT NULL,
    -- Rows that took part
    rows INTEGER NOT NULL,
    -- Who took part, as a sketch of keyed hashes; without a person column nothing
    people BLOB,
    -- JSON
    answer TEXT NOT NULL,
    -- Whether it says only that nothing may be told
    suppressed INTEGER NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX answer_of_question ON answer (question);
-- What makes hashes of people useless to whoever does not have this file
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
-- Whether an approval of more than one run holds when the data have changed since
ALTER TABLE review ADD COLUMN any_data INTEGER NOT NULL DEFAULT 0;

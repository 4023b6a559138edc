-- What is to be told to somebody outside, written in the transaction of what it tells; sent with retries
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- mail or webhook
    kind TEXT NOT NULL,
    -- Of a mail
    recipient TEXT NOT NULL DEFAULT '',
    subject TEXT NOT NULL DEFAULT '',
    -- The text of a mail, the JSON of a webhook
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Seconds since 1970
    next_at INTEGER NOT NULL
) STRICT;
CREATE INDEX job_next ON job (next_at);

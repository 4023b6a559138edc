-- One-time codes with which the node's own page is opened: only their hashes, and until when they hold (UTC)
CREATE TABLE page_code (
    hash TEXT PRIMARY KEY,
    expires_at TEXT NOT NULL
) STRICT;

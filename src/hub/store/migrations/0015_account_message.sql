-- What others changed of how somebody signs in, for the page of their account: not every hub sends mail
CREATE TABLE account_message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    at TEXT NOT NULL,
    what TEXT NOT NULL,
    seen INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX account_message_of_user ON account_message (user_id);

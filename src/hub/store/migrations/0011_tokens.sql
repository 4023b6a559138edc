-- Tokens are of an epoch: a change of password, second factor, e-mail address or key begins another one, and whatever was
-- issued before has ended, in the same second too.
ALTER TABLE user ADD COLUMN token_epoch INTEGER NOT NULL DEFAULT 1;
ALTER TABLE node ADD COLUMN token_epoch INTEGER NOT NULL DEFAULT 1;

-- Refresh tokens: each is good once. Those that follow from one sign-in are a family.
CREATE TABLE refresh_token (
    id TEXT PRIMARY KEY,
    family TEXT NOT NULL,
    -- Seconds since 1970
    ends_at INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX refresh_token_end ON refresh_token (ends_at);

-- Families of which a token came a second time
CREATE TABLE ended_family (
    family TEXT PRIMARY KEY,
    -- Until when tokens of it could still come, in seconds since 1970
    until INTEGER NOT NULL
) STRICT;

-- Attempts to sign in, by account and by where they come from: an address, or a browser in which the user was signed in
CREATE TABLE sign_in_place (
    user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    place TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    last_failure TEXT,
    last_success TEXT,
    PRIMARY KEY (user_id, place)
) STRICT;

-- A second factor that waits for its first code; the present one holds until then.
ALTER TABLE user ADD COLUMN otp_next_secret TEXT;
-- Which notices a user wants by mail
ALTER TABLE user ADD COLUMN notice_of_reviews INTEGER NOT NULL DEFAULT 1;
ALTER TABLE user ADD COLUMN notice_of_tasks INTEGER NOT NULL DEFAULT 1;

-- Each is good once instead of a code of the authenticator app.
CREATE TABLE recovery_code (
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    -- SHA-256 of the code: it is random and long, so a slow hash would add nothing
    code_hash BLOB NOT NULL,
    PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

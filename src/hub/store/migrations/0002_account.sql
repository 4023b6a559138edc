-- The second factor (RFC 6238): the secret in base32, whether a code of it was given once, and the last time step of
-- which a code was used, so that none is used twice.
ALTER TABLE user ADD COLUMN otp_secret TEXT;
ALTER TABLE user ADD COLUMN otp_confirmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN otp_last_step INTEGER NOT NULL DEFAULT 0;
-- When a mail for recovery was sent last
ALTER TABLE user ADD COLUMN last_recovery_mail TEXT;
-- Tokens from before this moment (seconds since 1970) have ended: the password or the API key was replaced
ALTER TABLE user ADD COLUMN tokens_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN tokens_from INTEGER NOT NULL DEFAULT 0;

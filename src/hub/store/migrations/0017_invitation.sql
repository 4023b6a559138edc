-- Invitations of an account: the last one counts, and only as long as whoever made it is not disabled
ALTER TABLE user ADD COLUMN invitations INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN invited_by INTEGER;

-- Somebody who may not sign in any more; what they did stays theirs.
ALTER TABLE user ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;

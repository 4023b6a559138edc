-- Whether the password was replaced by mail since the last sign-in: until then the second factor is not replaced by
-- mail as well, or a mailbox alone would open the account (CVE-2024-27928).
ALTER TABLE user ADD COLUMN password_by_mail INTEGER NOT NULL DEFAULT 0;

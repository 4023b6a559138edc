-- When a mail that replaces the second factor was sent last: who asks for a new password for somebody must not delay it
ALTER TABLE user ADD COLUMN last_second_factor_mail TEXT;

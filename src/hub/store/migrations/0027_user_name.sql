-- Who signs in may write the own name with other capitals.
CREATE INDEX user_of_name ON user (lower(username));

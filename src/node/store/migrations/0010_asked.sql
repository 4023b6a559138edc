-- What users have asked on a day. Nothing of it is replaced: a server may give the number of a run again.
CREATE TABLE asked (
    user_id INTEGER,
    day TEXT NOT NULL,
    question TEXT NOT NULL
) STRICT;
CREATE INDEX asked_by_user ON asked (user_id, day);
INSERT INTO asked SELECT user_id, day, coalesce(question, 'run ' || run_id) FROM started_run;
ALTER TABLE started_run DROP COLUMN question;

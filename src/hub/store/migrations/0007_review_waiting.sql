-- The reviews that wait are looked for at each change of a run; they are few among many.
CREATE INDEX review_waiting ON review (run_id) WHERE state = 'waiting';
-- Until when a second factor that was begun can be confirmed (UTC)
ALTER TABLE user ADD COLUMN otp_next_until TEXT;

-- Who took an approval back last: such a review waits again, and nothing else would tell of it.
ALTER TABLE review ADD COLUMN withdrawn_by TEXT;
ALTER TABLE review ADD COLUMN withdrawn_at TEXT;
ALTER TABLE review ADD COLUMN withdrawn_at_node INTEGER NOT NULL DEFAULT 0;
ALTER TABLE review ADD COLUMN withdrawn_because TEXT NOT NULL DEFAULT '';
-- Lists of tasks say what of them waits.
CREATE INDEX review_waiting_of_task ON review (task_id) WHERE state = 'waiting';

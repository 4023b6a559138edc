-- Why a review ended without a decision, or after one.
ALTER TABLE review ADD COLUMN ended_because TEXT NOT NULL DEFAULT '';

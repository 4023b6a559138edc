-- Why a review is void, beside the reason of a decision before.
ALTER TABLE review ADD COLUMN void_because TEXT NOT NULL DEFAULT '';
UPDATE review SET void_because = reason WHERE state = 'void' AND decided_by IS NULL;

-- How the runs of a task have ended that were deleted with their organization, as a JSON list: how a task ended does not
-- change with them.
ALTER TABLE task ADD COLUMN deleted_statuses TEXT NOT NULL DEFAULT '[]';

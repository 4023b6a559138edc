-- Tokens of algorithms are of one task, also when a database comes from a backup, in which ids come again
ALTER TABLE task ADD COLUMN token_epoch INTEGER NOT NULL DEFAULT 0;
UPDATE task SET token_epoch = abs(random() >> 11);
CREATE TRIGGER task_has_an_epoch AFTER INSERT ON task
BEGIN UPDATE task SET token_epoch = abs(random() >> 11) WHERE id = NEW.id; END;

-- Epochs of tokens are random: a database from a backup, in which ids come again, makes no old token good
UPDATE user SET token_epoch = abs(random() >> 11);
UPDATE node SET token_epoch = abs(random() >> 11);
CREATE TRIGGER user_has_an_epoch AFTER INSERT ON user
BEGIN UPDATE user SET token_epoch = abs(random() >> 11) WHERE id = NEW.id; END;
CREATE TRIGGER node_has_an_epoch AFTER INSERT ON node
BEGIN UPDATE node SET token_epoch = abs(random() >> 11) WHERE id = NEW.id; END;

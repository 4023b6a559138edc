-- Names that somebody had: policies of nodes go by names, and nobody comes into those of another
CREATE TABLE former_name (
    kind TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    -- Who had it last, and may have it again
    id INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;
CREATE TRIGGER user_renamed AFTER UPDATE OF username ON user
WHEN lower(old.username) <> lower(new.username) BEGIN
    INSERT OR REPLACE INTO former_name VALUES ('user', old.username, old.id);
END;
CREATE TRIGGER user_gone AFTER DELETE ON user BEGIN
    INSERT OR REPLACE INTO former_name VALUES ('user', old.username, old.id);
END;
CREATE TRIGGER organization_renamed AFTER UPDATE OF name ON organization
WHEN lower(old.name) <> lower(new.name) BEGIN
    INSERT OR REPLACE INTO former_name VALUES ('organization', old.name, old.id);
END;
CREATE TRIGGER organization_gone AFTER DELETE ON organization BEGIN
    INSERT OR REPLACE INTO former_name VALUES ('organization', old.name, old.id);
END;

-- Names that somebody had: policies of nodes go by names, and nobody comes into those of another
CREATE TABLE former_name (
    kind TEXT NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (kind, name)
) STRICT;
CREATE TRIGGER user_renamed AFTER UPDATE OF username ON user
WHEN lower(old.username) <> lower(new.username) BEGIN
    INSERT OR IGNORE INTO former_name VALUES ('user', old.username);
END;
CREATE TRIGGER user_gone AFTER DELETE ON user BEGIN
    INSERT OR IGNORE INTO former_name VALUES ('user', old.username);
END;
CREATE TRIGGER organization_renamed AFTER UPDATE OF name ON organization
WHEN lower(old.name) <> lower(new.name) BEGIN
    INSERT OR IGNORE INTO former_name VALUES ('organization', old.name);
END;
CREATE TRIGGER organization_gone AFTER DELETE ON organization BEGIN
    INSERT OR IGNORE INTO former_name VALUES ('organization', old.name);
END;

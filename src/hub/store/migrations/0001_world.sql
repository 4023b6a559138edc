-- Everything a hub knows. Times are text in UTC with microseconds and without a zone, as the API writes them.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE organization (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    domain TEXT NOT NULL DEFAULT '',
    address1 TEXT NOT NULL DEFAULT '',
    address2 TEXT NOT NULL DEFAULT '',
    zipcode TEXT NOT NULL DEFAULT '',
    country TEXT NOT NULL DEFAULT '',
    public_key TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE collaboration (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    encrypted INTEGER NOT NULL
) STRICT;

CREATE TABLE collaboration_organization (
    collaboration_id INTEGER NOT NULL REFERENCES collaboration ON DELETE CASCADE,
    organization_id INTEGER NOT NULL REFERENCES organization,
    PRIMARY KEY (collaboration_id, organization_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX collaboration_of_organization ON collaboration_organization (organization_id);

CREATE TABLE study (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    collaboration_id INTEGER NOT NULL REFERENCES collaboration ON DELETE CASCADE,
    UNIQUE (collaboration_id, name)
) STRICT;

CREATE TABLE study_organization (
    study_id INTEGER NOT NULL REFERENCES study ON DELETE CASCADE,
    organization_id INTEGER NOT NULL REFERENCES organization,
    PRIMARY KEY (study_id, organization_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE rule (
    id INTEGER PRIMARY KEY,
    resource TEXT NOT NULL,
    scope TEXT NOT NULL,
    operation TEXT NOT NULL,
    description TEXT NOT NULL,
    UNIQUE (resource, scope, operation)
) STRICT;

CREATE TABLE role (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    is_default_role INTEGER NOT NULL DEFAULT 0,
    organization_id INTEGER REFERENCES organization ON DELETE CASCADE
) STRICT;

CREATE TABLE role_rule (
    role_id INTEGER NOT NULL REFERENCES role ON DELETE CASCADE,
    rule_id INTEGER NOT NULL REFERENCES rule,
    PRIMARY KEY (role_id, rule_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    firstname TEXT NOT NULL DEFAULT '',
    lastname TEXT NOT NULL DEFAULT '',
    organization_id INTEGER NOT NULL REFERENCES organization,
    last_seen TEXT,
    failed_sign_ins INTEGER NOT NULL DEFAULT 0,
    last_failed_sign_in TEXT
) STRICT;
CREATE INDEX user_of_organization ON user (organization_id);

CREATE TABLE user_role (
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    role_id INTEGER NOT NULL REFERENCES role ON DELETE CASCADE,
    PRIMARY KEY (user_id, role_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_rule (
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    rule_id INTEGER NOT NULL REFERENCES rule,
    PRIMARY KEY (user_id, rule_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE node (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    -- SHA-256 of the key: it is random and long, so a slow hash would add nothing
    api_key_hash BLOB NOT NULL UNIQUE,
    organization_id INTEGER NOT NULL REFERENCES organization,
    collaboration_id INTEGER NOT NULL REFERENCES collaboration ON DELETE CASCADE,
    online INTEGER NOT NULL DEFAULT 0,
    ip TEXT,
    last_seen TEXT,
    UNIQUE (organization_id, collaboration_id)
) STRICT;
CREATE INDEX node_of_collaboration ON node (collaboration_id);

CREATE TABLE node_config (
    id INTEGER PRIMARY KEY,
    node_id INTEGER NOT NULL REFERENCES node ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL
) STRICT;
CREATE INDEX config_of_node ON node_config (node_id);

CREATE TABLE task (
    -- AUTOINCREMENT: an id is never used again, so that nothing can attach itself to a deleted task
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    image TEXT NOT NULL,
    job_id INTEGER NOT NULL,
    -- follows from the runs' statuses and is kept here so that lists can be filtered and sorted by it
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    finished_at TEXT,
    collaboration_id INTEGER NOT NULL REFERENCES collaboration ON DELETE CASCADE,
    study_id INTEGER REFERENCES study ON DELETE SET NULL,
    parent_id INTEGER REFERENCES task ON DELETE CASCADE,
    init_organization_id INTEGER NOT NULL REFERENCES organization,
    init_user_id INTEGER REFERENCES user ON DELETE SET NULL,
    store_id INTEGER
) STRICT;
CREATE INDEX task_of_collaboration ON task (collaboration_id, parent_id);
CREATE INDEX task_of_parent ON task (parent_id);
CREATE INDEX task_of_user ON task (init_user_id);
CREATE INDEX task_of_job ON task (job_id);

CREATE TABLE task_database (
    task_id INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    position INTEGER NOT NULL,
    label TEXT NOT NULL,
    parameters TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (task_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    organization_id INTEGER NOT NULL REFERENCES organization,
    status TEXT NOT NULL,
    input TEXT NOT NULL,
    assigned_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    log TEXT,
    result TEXT
) STRICT;
CREATE INDEX run_of_task ON run (task_id);
CREATE INDEX run_open_at_organization ON run (organization_id, finished_at);

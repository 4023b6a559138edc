-- Which station this is, beside others that have the same API key.
CREATE TABLE station (id TEXT NOT NULL);

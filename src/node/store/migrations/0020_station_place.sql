-- Where the file was when the station got its name: a copy is another station
ALTER TABLE station ADD COLUMN place TEXT NOT NULL DEFAULT '';

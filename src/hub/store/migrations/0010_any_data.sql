-- Whether an approval of more than one run holds when the data have changed since.
ALTER TABLE review ADD COLUMN any_data INTEGER NOT NULL DEFAULT 0;

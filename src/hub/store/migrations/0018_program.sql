-- The program that works with the key of a node: the family of its tokens, and which station it is.
ALTER TABLE node ADD COLUMN program_family TEXT;
ALTER TABLE node ADD COLUMN program_station TEXT;

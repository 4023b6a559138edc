-- Whether a client of vantage6 3.x asked: base64 of `json.…`, or of a pickle (protocol 2 to 5). Kept with the task, since an
-- input can have 32 MiB, and is not read to know this.
ALTER TABLE task ADD COLUMN is_of_version3 INTEGER NOT NULL DEFAULT FALSE;
UPDATE task SET is_of_version3 = TRUE WHERE id IN (
    SELECT task_id FROM run WHERE (input GLOB 'anNvbi[4-7]*' OR input GLOB 'gA[I-X]*') AND instr(input, '$') = 0
);

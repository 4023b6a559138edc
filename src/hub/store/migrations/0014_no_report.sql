-- While a result is held, the hub knows only that it is held
ALTER TABLE review DROP COLUMN report;

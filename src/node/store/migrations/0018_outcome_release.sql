-- Whether somebody has let it leave; of what was kept before that is not known
ALTER TABLE outcome ADD COLUMN is_released INTEGER NOT NULL DEFAULT 0;

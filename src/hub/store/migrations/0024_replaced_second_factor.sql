-- A second factor that was replaced by mail is asked for from then on, also where it is not obligatory
ALTER TABLE user ADD COLUMN otp_replaced INTEGER NOT NULL DEFAULT 0;

-- Takes back 0005_day_values.up.sql.
drop table day_values, kyc_reminders;

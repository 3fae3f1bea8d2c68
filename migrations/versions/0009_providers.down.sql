-- Takes back 0009_providers.up.sql.
select 1;

-- Takes back 0008_factors.up.sql.
select 1;

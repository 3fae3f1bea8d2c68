-- Takes back 0012_announcements.up.sql.
select 1;

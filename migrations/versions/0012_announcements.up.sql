-- Announcements and maintenance windows.
select 1;

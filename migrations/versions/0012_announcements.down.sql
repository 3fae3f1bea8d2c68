-- Takes back 0012_announcements.up.sql.
revoke select on alembic_version from steward_app;
drop table announcements;

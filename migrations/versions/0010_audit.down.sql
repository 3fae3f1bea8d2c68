-- Takes back 0010_audit.up.sql.
alter table audit_events drop column reason;

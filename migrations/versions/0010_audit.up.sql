-- The reasons, the seals and the readers of the audit trail.

alter table audit_events add column reason text;

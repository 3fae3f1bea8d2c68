-- Takes back 0019_entering.up.sql.
drop function enter_as(uuid, timestamptz, text, text, text, text, text);

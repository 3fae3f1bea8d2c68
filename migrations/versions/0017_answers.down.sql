-- Takes back 0017_answers.up.sql.
drop function rename_conversation(uuid, text);
drop table model_calls;

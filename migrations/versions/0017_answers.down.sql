-- Takes back 0017_answers.up.sql.
drop table model_calls;

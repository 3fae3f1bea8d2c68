-- Takes back 0008_factors.up.sql.
drop function forget_sign_ins(timestamptz);
drop table sign_in_attempts, sign_in_challenges, recovery_codes, second_factors;

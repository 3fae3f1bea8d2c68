-- Second factors, and the failed attempts to sign in.
select 1;

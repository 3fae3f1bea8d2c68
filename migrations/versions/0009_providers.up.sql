-- Sign-in by other providers of identity.
select 1;

-- Links that are mailed to people, and what users prefer.
select 1;

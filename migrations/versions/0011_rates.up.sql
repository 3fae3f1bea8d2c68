-- What viewers have used of their budgets, where several processes share them.
select 1;

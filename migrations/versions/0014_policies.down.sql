-- Takes back 0014_policies.up.sql.
do $$
declare
    asked constant text := $q$(COALESCE(current_setting('steward.everything'::text, true), ''::text) = 'on'::text)$q$;
    -- As PostgreSQL writes the question, once it is asked apart.
    once text := '\( SELECT (' || regexp_replace(asked, '([()?])', '\\\1', 'g') || ')( AS "\?column\?")?\)';
    policy record;
begin
    for policy in
        select tablename, policyname,
            regexp_replace(qual, once, '\1', 'g') as qual,
            regexp_replace(with_check, once, '\1', 'g') as with_check
        from pg_policies where schemaname = 'public' and concat(qual, with_check) like '%steward.everything%'
    loop
        execute format('alter policy %I on %I', policy.policyname, policy.tablename)
            || coalesce(' using (' || policy.qual || ')', '')
            || coalesce(' with check (' || policy.with_check || ')', '');
    end loop;
end
$$;

-- Whether the viewer sees everything is asked once a statement instead of once a row, which halves what a policy costs.
do $$
declare
    asked constant text := $q$(COALESCE(current_setting('steward.everything'::text, true), ''::text) = 'on'::text)$q$;
    policy record;
begin
    for policy in
        select tablename, policyname, replace(qual, asked, '(select ' || asked || ')') as qual,
            replace(with_check, asked, '(select ' || asked || ')') as with_check
        from pg_policies where schemaname = 'public' and concat(qual, with_check) like '%steward.everything%'
    loop
        execute format('alter policy %I on %I', policy.policyname, policy.tablename)
            || coalesce(' using (' || policy.qual || ')', '')
            || coalesce(' with check (' || policy.with_check || ')', '');
    end loop;
end
$$;

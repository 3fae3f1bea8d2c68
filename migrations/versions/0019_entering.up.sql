-- As it was, with its lists in order: it is compared with what was told before.
create or replace function viewer_of(session uuid, moment timestamptz)
    returns table (
        user_id uuid, session_id uuid, role text, team_id uuid, unit_id uuid, locale text, time_zone text,
        book_ids uuid[], client_ids uuid[], granted text[], authenticated_at timestamptz, last_used_at timestamptz,
        glass_ids uuid[]
    )
    language sql stable security definer set search_path = public, pg_temp as $$
    with proof as (
        select s.id, s.user_id, null::text[] as granted, s.authenticated_at, s.last_used_at
        from sessions s
        where s.id = session and s.revoked_at is null and s.expires_at > moment and s.idle_until > moment
        union all
        select k.id, k.user_id, k.actions, null, coalesce(k.last_used_at, k.created_at)
        from service_keys k
        where k.id = session and k.revoked_at is null and k.expires_at > moment
    )
    select u.id, p.id, u.role, u.team_id, u.unit_id, u.locale, u.time_zone,
        array(
            select b.id from books b
            where (u.role = 'BU_MANAGER' and b.unit_id = u.unit_id)
                or (u.role in ('SUPERVISOR', 'VIEWER') and b.team_id = u.team_id)
            union
            select m.book_id from memberships m
            where u.role <> 'CLIENT' and m.user_id = u.id
                and m.starts_on <= (moment at time zone u.time_zone)::date
                and (m.ends_on is null or m.ends_on >= (moment at time zone u.time_zone)::date)
            order by 1
        ),
        array(
            select c.id from clients own
            join clients c on c.id = own.id or c.household_id = own.household_id
            where u.role = 'CLIENT' and own.id = u.client_id
            order by 1
        ),
        p.granted, p.authenticated_at, p.last_used_at,
        array(
            select g.book_id from glass_accesses g
            where g.user_id = u.id and g.expires_at > moment and g.ended_at is null
                -- Those who may break it, as domain/access.py has them: whoever loses the role loses the sight.
                and u.role in ('ADMIN', 'BU_MANAGER', 'SUPERVISOR', 'ADVISOR')
            order by 1
        )
    from proof p join users u on u.id = p.user_id
    where u.status = 'ACTIVE'
$$;

-- Tells the policies a viewer if its session is still what it was said to be; raises ST001 if it is not, so that nothing
-- of the statement that asks is read. `said` is a row of viewer_of as text, and the words are those of the statement that
-- lends a connection.
create function enter_as(
    session uuid, moment timestamptz, said text, viewer text, books text, clients text, everything text
)
    returns boolean language plpgsql volatile parallel unsafe security definer set search_path = public, pg_temp as $$
declare
    found text;
begin
    select told::text into found from viewer_of(session, moment) told;
    if found is distinct from said then
        raise exception 'the session is not what it was' using errcode = 'ST001';
    end if;
    perform
        set_config('steward.user', viewer, false),
        set_config('steward.books', books, false),
        set_config('steward.clients', clients, false),
        set_config('steward.everything', everything, false),
        set_config('steward.identity', '', false);
    return true;
end
$$;
revoke execute on function enter_as(uuid, timestamptz, text, text, text, text, text) from public;
grant execute on function enter_as(uuid, timestamptz, text, text, text, text, text) to steward_app;

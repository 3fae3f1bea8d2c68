-- What identity and protection stand on: sessions that end when they lie idle, keys of service accounts, sight of a
-- book by a broken glass, and the functions that say whose a session or a key is.

alter table users
    add column email_verified_at timestamptz,
    drop constraint users_status_check,
    add CONSTRAINT users_status_check CHECK (status IN ('ACTIVE', 'INVITED', 'DISABLED'));

alter table sessions
    add column last_used_at timestamptz,
    add column idle_until timestamptz,
    add column authenticated_at timestamptz,
    add column second_factor boolean not null default false,
    add column device text not null default '',
    add column address text not null default '';
update sessions set last_used_at = created_at, idle_until = expires_at, authenticated_at = created_at;
alter table sessions
    alter column last_used_at set not null,
    alter column idle_until set not null,
    alter column authenticated_at set not null,
    alter column second_factor drop default,
    alter column device drop default,
    alter column address drop default;

alter table notifications
    add column glass_access_id uuid,
    add column announcement_id uuid,
    drop constraint notifications_kind_check,
    add CONSTRAINT notifications_kind_check CHECK (kind IN ('CLIENT_ARRIVED', 'CLIENT_LEFT', 'KYC_CHANGED', 'KYC_EXPIRING', 'LARGE_DEPOSIT', 'LARGE_WITHDRAWAL', 'ENTRY_REVERSED', 'ORDER_FILLED', 'ORDER_PARTLY_FILLED', 'ORDER_REJECTED', 'ORDER_EXPIRED', 'ORDER_CANCELLED', 'ORDER_UNCERTAIN', 'APPROVAL_WANTED', 'ORDER_APPROVED', 'GLASS_BROKEN', 'ANNOUNCEMENT', 'MAINTENANCE'));

CREATE TABLE service_keys (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    digest TEXT NOT NULL,
    actions TEXT[] NOT NULL,
    created_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    version INTEGER NOT NULL,
    CONSTRAINT service_keys_pkey PRIMARY KEY (id),
    CONSTRAINT service_keys_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT service_keys_digest_key UNIQUE (digest),
    CONSTRAINT service_keys_created_by_fkey FOREIGN KEY(created_by) REFERENCES users (id)
);
CREATE INDEX service_keys_user_id_created_at_idx ON service_keys (user_id, created_at);

CREATE TABLE glass_accesses (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    book_id UUID NOT NULL,
    reason TEXT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    version INTEGER NOT NULL,
    CONSTRAINT glass_accesses_pkey PRIMARY KEY (id),
    CONSTRAINT glass_accesses_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT glass_accesses_book_id_fkey FOREIGN KEY(book_id) REFERENCES books (id)
);
CREATE INDEX glass_accesses_book_id_granted_at_idx ON glass_accesses (book_id, granted_at);
CREATE INDEX glass_accesses_user_id_expires_at_idx ON glass_accesses (user_id, expires_at);

-- A session or a key, asked by the statement that lends a connection, before the policies know a viewer.
create or replace function session_stands(session uuid) returns boolean
    language sql stable security definer set search_path = public, pg_temp as $$
    select exists (
        select from sessions s join users u on u.id = s.user_id
        where s.id = session and s.revoked_at is null and s.expires_at > now() and s.idle_until > now()
            and u.status = 'ACTIVE'
    ) or exists (
        select from service_keys k join users u on u.id = k.user_id
        where k.id = session and k.revoked_at is null and k.expires_at > now() and u.status = 'ACTIVE'
    )
$$;

-- Whoever a session or a key belongs to, and whose rows it sees: the books of its team or unit, the books it is a
-- member of on its own calendar day, those it has broken the glass of, or, for an end client, its household.
drop function viewer_of(uuid, timestamptz);
create function viewer_of(session uuid, moment timestamptz)
    returns table (
        user_id uuid, session_id uuid, role text, team_id uuid, unit_id uuid, locale text, time_zone text,
        book_ids uuid[], client_ids uuid[], granted text[], authenticated_at timestamptz, last_used_at timestamptz
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
            union
            select g.book_id from glass_accesses g
            where g.user_id = u.id and g.expires_at > moment and g.ended_at is null and u.role <> 'CLIENT'
        ),
        array(
            select c.id from clients own
            join clients c on c.id = own.id or c.household_id = own.household_id
            where u.role = 'CLIENT' and own.id = u.client_id
        ),
        p.granted, p.authenticated_at, p.last_used_at
    from proof p join users u on u.id = p.user_id
    where u.status = 'ACTIVE'
$$;

-- Noted to the minute by whoever is served, so that a session in use does not end as an idle one. It waits for nobody:
-- whoever holds the row is noting or ending it.
create function note_use(session uuid, moment timestamptz, idle timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    update sessions set last_used_at = moment, idle_until = idle where id in (
        select id from sessions where id = session and last_used_at < moment for update skip locked
    );
    update service_keys set last_used_at = moment where id in (
        select id from service_keys
        where id = session and coalesce(last_used_at, created_at) < moment for update skip locked
    );
$$;
revoke execute on function viewer_of(uuid, timestamptz), note_use(uuid, timestamptz, timestamptz) from public;
grant execute on function viewer_of(uuid, timestamptz), note_use(uuid, timestamptz, timestamptz) to steward_app;

grant select, insert, update on service_keys, glass_accesses to steward_app;

drop policy sessions_see on sessions;
drop policy sessions_add on sessions;
drop policy sessions_change on sessions;
drop policy sessions_remove on sessions;
create policy sessions_see on sessions for select using (coalesce(current_setting('steward.identity', true), '') = 'on' or coalesce(current_setting('steward.everything', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy sessions_add on sessions for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sessions_change on sessions for update using (coalesce(current_setting('steward.identity', true), '') = 'on' or coalesce(current_setting('steward.everything', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid) with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sessions_remove on sessions for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on' or coalesce(current_setting('steward.everything', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid) and (coalesce(current_setting('steward.identity', true), '') = 'on'));

alter table service_keys enable row level security;
create policy service_keys_see on service_keys for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy service_keys_add on service_keys for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy service_keys_change on service_keys for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy service_keys_remove on service_keys for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));
alter table glass_accesses enable row level security;
create policy glass_accesses_see on glass_accesses for select using (user_id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy glass_accesses_add on glass_accesses for insert with check (user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy glass_accesses_change on glass_accesses for update using (user_id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')) with check (user_id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy glass_accesses_remove on glass_accesses for delete using ((user_id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')) and (user_id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')));

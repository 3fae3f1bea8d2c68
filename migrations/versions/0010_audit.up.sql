-- The reasons, the seals and the readers of the audit trail, and the destruction of personal data.

alter table audit_events
    add column reason text,
    add column client_id uuid,
    add column book_id uuid,
    add column user_id uuid,
    add column person_id uuid;

-- What is there already is not sealed yet, so it can still say whose it is.
alter table audit_events disable trigger audit_events_append_only;
update audit_events set
    client_id = case
        when object_type in ('Client', 'ClientProfile', 'TaxId') then object_id
        else nullif(coalesce(after, before) ->> 'client_id', '')::uuid
    end,
    user_id = case
        when object_type in ('User', 'Credential') then object_id
        else nullif(coalesce(after, before) ->> 'user_id', '')::uuid
    end;
update audit_events set
    book_id = case
        when object_type = 'Book' then object_id
        else nullif(coalesce(after, before) ->> 'book_id', '')::uuid
    end
where client_id is null;
update audit_events set
    person_id = case
        when object_type in ('Client', 'ClientProfile', 'TaxId', 'Household', 'User') then object_id
        when object_type in ('Order', 'Party', 'Portfolio', 'Transaction') then client_id
        when object_type = 'Session' then user_id
    end;
alter table audit_events enable trigger audit_events_append_only;

drop index audit_events_object_id_occurred_at_idx, audit_events_occurred_at_idx;
CREATE INDEX audit_events_action_occurred_at_id_idx ON audit_events (action, occurred_at, id);
CREATE INDEX audit_events_actor_id_occurred_at_id_idx ON audit_events (actor_id, occurred_at, id);
CREATE INDEX audit_events_client_id_occurred_at_id_idx ON audit_events (client_id, occurred_at, id);
CREATE INDEX audit_events_object_id_occurred_at_id_idx ON audit_events (object_id, occurred_at, id);
CREATE INDEX audit_events_occurred_at_id_idx ON audit_events (occurred_at, id);
CREATE INDEX audit_events_request_id_idx ON audit_events (request_id);

CREATE TABLE audit_unsealed (
    event_id UUID NOT NULL,
    CONSTRAINT audit_unsealed_pkey PRIMARY KEY (event_id)
);

CREATE TABLE audit_seals (
    number BIGINT NOT NULL,
    previous BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    sealed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    event_ids UUID[] NOT NULL,
    CONSTRAINT audit_seals_pkey PRIMARY KEY (number),
    CONSTRAINT audit_seals_number_check CHECK (number > 0)
);

CREATE TABLE audit_sealed (
    event_id UUID NOT NULL,
    seal BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    CONSTRAINT audit_sealed_pkey PRIMARY KEY (event_id)
);
CREATE INDEX audit_sealed_seal_idx ON audit_sealed (seal);

create trigger audit_events_kept before truncate on audit_events
    for each statement execute function keep_trail();
create trigger audit_seals_append_only before update or delete on audit_seals
    for each row execute function keep_trail();
create trigger audit_seals_kept before truncate on audit_seals
    for each statement execute function keep_trail();
create trigger audit_sealed_append_only before update or delete on audit_sealed
    for each row execute function keep_trail();
create trigger audit_sealed_kept before truncate on audit_sealed
    for each statement execute function keep_trail();

-- Each row waits for its seal from the transaction on that writes it: what the sealer sees in the queue is committed.
create function queue_for_seal() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into audit_unsealed select id from added;
    return null;
end
$$;
create trigger audit_events_queued after insert on audit_events
    referencing new table as added for each statement execute function queue_for_seal();
insert into audit_unsealed select id from audit_events;

-- The text that a digest is of: each part with its length in bytes, so that no two rows give the same; nothing in it
-- depends on a setting of the session. persistence/audit/verification.py makes the same text, and must go on doing so.
create function audit_part(value text) returns text language sql immutable as $$
    select coalesce(octet_length(convert_to(value, 'UTF8'))::text || ':' || value, '-')
$$;
create function audit_digest(event audit_events) returns bytea language sql stable as $$
    select sha256(convert_to(
        'audit row 1'
        || public.audit_part(event.id::text)
        || public.audit_part(extract(epoch from event.occurred_at)::text)
        || public.audit_part(event.actor_id::text)
        || public.audit_part(event.session_id::text)
        || public.audit_part(event.request_id)
        || public.audit_part(event.action)
        || public.audit_part(event.object_type)
        || public.audit_part(event.object_id::text)
        || public.audit_part(event.before::text)
        || public.audit_part(event.after::text)
        || public.audit_part(event.reason)
        || public.audit_part(event.client_id::text)
        || public.audit_part(event.book_id::text)
        || public.audit_part(event.user_id::text)
        || public.audit_part(event.person_id::text),
        'UTF8'
    ))
$$;

-- Seals what is committed and waits, at most so many rows, and tells of the seal; nothing if nothing waits, or another
-- process is sealing. Writers never wait for it: it takes no lock that they need.
create function seal_audit(moment timestamptz, most integer)
    returns table (made bigint, hash bytea, events integer)
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    waiting uuid[];
    last_number bigint := 0;
    last_digest bytea := '';
    rows_digest bytea;
begin
    if not pg_try_advisory_xact_lock(7839275) then
        return;
    end if;
    with taken as (
        select u.event_id from audit_unsealed u join audit_events e on e.id = u.event_id order by u.event_id limit most
    ), gone as (
        delete from audit_unsealed where event_id in (select event_id from taken) returning event_id
    )
    select array_agg(event_id order by event_id) into waiting from gone;
    if waiting is null then
        return;
    end if;
    select number, digest into last_number, last_digest from audit_seals order by number desc limit 1;
    made := coalesce(last_number, 0) + 1;
    last_digest := coalesce(last_digest, '');
    events := cardinality(waiting);
    insert into audit_sealed (event_id, seal, digest)
        select e.id, made, audit_digest(e) from audit_events e where e.id = any(waiting);
    select string_agg(uuid_send(event_id) || digest, ''::bytea order by event_id) into rows_digest
        from audit_sealed where seal = made;
    hash := sha256(
        convert_to(
            'audit seal 1'
            || audit_part(made::text)
            || audit_part(encode(last_digest, 'hex'))
            || audit_part(extract(epoch from moment)::text)
            || audit_part(events::text),
            'UTF8'
        ) || rows_digest
    );
    insert into audit_seals (number, previous, digest, sealed_at, event_ids)
        values (made, last_digest, hash, moment, waiting);
    return next;
end
$$;

-- Destroying a person's key erases what it has sealed, wherever that stands. The row stays, and no key is made again.
alter table person_keys
    alter column sealed_key drop not null,
    add column destroyed_at timestamptz,
    add CONSTRAINT person_keys_destroyed_check CHECK ((sealed_key is null) = (destroyed_at is not null));
create function destroy_key(person uuid, moment timestamptz) returns boolean
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if coalesce(current_setting('steward.everything', true), '') <> 'on' then
        raise insufficient_privilege using message = 'only who sees everything destroys keys';
    end if;
    insert into person_keys as k (person_id, sealed_key, destroyed_at) values (person, null, moment)
        on conflict (person_id) do update set sealed_key = null, destroyed_at = moment where k.destroyed_at is null;
    return found;
end
$$;

-- The ledger lets its texts be blanked, and its book change, and nothing else.
create or replace function keep_ledger() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE'
        and to_jsonb(new) - 'book_id' - 'reference' - 'note' = to_jsonb(old) - 'book_id' - 'reference' - 'note'
        and (new.reference is null or new.reference is not distinct from old.reference)
        and (new.note is null or new.note is not distinct from old.note)
    then
        return new;
    end if;
    raise exception 'the ledger is append-only';
end
$$;
-- What was written about a client whose key is destroyed, in rows that few may change. The number of an account stays:
-- it is the custodian's, and what the ledger is checked against.
create function blank_client(client uuid, nothing text) returns table (orders bigint, portfolios bigint)
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not exists (select from person_keys where person_id = client and destroyed_at is not null) then
        raise insufficient_privilege using message = 'the client is not erased';
    end if;
    update public.transactions t set reference = null, note = null
        where t.client_id = client and (t.reference is not null or t.note is not null);
    update public.orders o set reason = null where o.client_id = client and o.reason is not null;
    get diagnostics orders = row_count;
    update public.portfolios p set name = nothing, sort_name = lower(nothing), benchmark = null, version = version + 1
        where p.client_id = client;
    get diagnostics portfolios = row_count;
    return next;
end
$$;
-- All by which a user signs in whose key is destroyed, and where it signed in from.
create function blank_account(person uuid) returns void
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not exists (select from person_keys where person_id = person and destroyed_at is not null) then
        raise insufficient_privilege using message = 'the user is not erased';
    end if;
    delete from credentials where id = person;
    delete from second_factors where id = person;
    delete from recovery_codes where user_id = person;
    delete from sign_in_challenges where user_id = person;
    delete from provider_flows where user_id = person;
    delete from account_links where user_id = person;
    delete from user_preferences where id = person;
    delete from provider_identities where user_id = person;
    update sessions set device = '', address = '' where user_id = person;
end
$$;

revoke execute on function
    queue_for_seal(), audit_part(text), audit_digest(audit_events), seal_audit(timestamptz, integer),
    destroy_key(uuid, timestamptz), blank_client(uuid, text), blank_account(uuid)
    from public;
grant execute on function
    seal_audit(timestamptz, integer), destroy_key(uuid, timestamptz), blank_client(uuid, text), blank_account(uuid)
    to steward_app;
grant select on audit_unsealed, audit_seals, audit_sealed to steward_app;

drop policy audit_events_see on audit_events;
drop policy audit_events_add on audit_events;
drop policy audit_events_change on audit_events;
drop policy audit_events_remove on audit_events;
create policy audit_events_see on audit_events for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or not coalesce(current_setting('steward.clients', true), '') not in ('', '{}') and (user_id = nullif(current_setting('steward.user', true), '')::uuid or client_id is null and book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or exists (select from clients where clients.id = audit_events.client_id)));
create policy audit_events_add on audit_events for insert with check (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy audit_events_change on audit_events for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or not coalesce(current_setting('steward.clients', true), '') not in ('', '{}') and (user_id = nullif(current_setting('steward.user', true), '')::uuid or client_id is null and book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or exists (select from clients where clients.id = audit_events.client_id))) with check (false);
create policy audit_events_remove on audit_events for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or not coalesce(current_setting('steward.clients', true), '') not in ('', '{}') and (user_id = nullif(current_setting('steward.user', true), '')::uuid or client_id is null and book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or exists (select from clients where clients.id = audit_events.client_id))) and (false));

alter table audit_unsealed enable row level security;
create policy audit_unsealed_see on audit_unsealed for select using (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy audit_unsealed_add on audit_unsealed for insert with check (false);
create policy audit_unsealed_change on audit_unsealed for update using (coalesce(current_setting('steward.everything', true), '') = 'on') with check (false);
create policy audit_unsealed_remove on audit_unsealed for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on') and (false));

alter table audit_seals enable row level security;
create policy audit_seals_see on audit_seals for select using (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy audit_seals_add on audit_seals for insert with check (false);
create policy audit_seals_change on audit_seals for update using (coalesce(current_setting('steward.everything', true), '') = 'on') with check (false);
create policy audit_seals_remove on audit_seals for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on') and (false));

alter table audit_sealed enable row level security;
create policy audit_sealed_see on audit_sealed for select using (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy audit_sealed_add on audit_sealed for insert with check (false);
create policy audit_sealed_change on audit_sealed for update using (coalesce(current_setting('steward.everything', true), '') = 'on') with check (false);
create policy audit_sealed_remove on audit_sealed for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on') and (false));

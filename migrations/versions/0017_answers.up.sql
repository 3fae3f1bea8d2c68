-- Before anything else of them is locked, by this revision or the next: a server that is at work reads them before it
-- writes, and would hold what it is waited for.
lock table runs, messages in access exclusive mode;

-- What each call of a model was shown and has cost, in whatever attempt of a run.
CREATE TABLE model_calls (
    id UUID NOT NULL,
    run_id UUID NOT NULL,
    message_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost NUMERIC,
    prompt TEXT,
    ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT model_calls_pkey PRIMARY KEY (id),
    CONSTRAINT model_calls_purpose_check CHECK (purpose IN ('ANSWER', 'TITLE')),
    CONSTRAINT model_calls_run_id_fkey FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
    CONSTRAINT model_calls_message_id_fkey FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
);
CREATE INDEX model_calls_run_id_idx ON model_calls (run_id);
CREATE INDEX model_calls_message_id_idx ON model_calls (message_id);
alter table model_calls enable row level security;
create policy model_calls_see on model_calls for select using (exists (select from messages where messages.id = model_calls.message_id));
create policy model_calls_add on model_calls for insert with check (exists (select from messages where messages.id = model_calls.message_id));
create policy model_calls_change on model_calls for update using (exists (select from messages where messages.id = model_calls.message_id)) with check (exists (select from messages where messages.id = model_calls.message_id));
create policy model_calls_remove on model_calls for delete using ((exists (select from messages where messages.id = model_calls.message_id)) and (exists (select from messages where messages.id = model_calls.message_id)));
grant select, insert on model_calls to steward_app;

-- As before, and no prompt tells of the client any more. Whoever calls it has ended the runs of which it tells.
create or replace function blank_messages(client uuid, nothing text) returns bigint
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    blanked bigint;
begin
    if not exists (select from person_keys where person_id = client and destroyed_at is not null) then
        raise insufficient_privilege using message = 'the client is not erased';
    end if;
    -- With the locks of runs first, also of those that have ended: whoever notes a prompt has them too.
    perform from runs r where exists (
        select from message_clients m where m.client_id = client and m.message_id = r.message_id
    ) order by r.id for update;
    if exists (
        select from runs r join message_clients m on m.message_id = r.message_id
        where m.client_id = client and r.status in ('QUEUED', 'RUNNING')
    ) then
        raise serialization_failure using message = 'a run has begun in the meantime';
    end if;
    -- Whatever a conversation about it is called, by hand too.
    update conversation_titles t set title = nothing, message_id = null
        from message_clients m where m.client_id = client and m.conversation_id = t.id;
    delete from tool_uses u using message_clients m where m.client_id = client and m.message_id = u.message_id;
    delete from run_steps s using message_clients m where m.client_id = client and m.message_id = s.message_id;
    update model_calls c set prompt = null
        from message_clients m where m.client_id = client and m.message_id = c.message_id;
    update messages g set blocks = '[]', insight = '{}', words = null, version = version + 1
        from message_clients m where m.client_id = client and m.message_id = g.id;
    get diagnostics blanked = row_count;
    return blanked;
end
$$;

-- Gives a conversation of one's own another title: also where the present one is of a message that one sees no longer.
create function rename_conversation(conversation uuid, wanted text) returns void
    language sql security definer set search_path = public, pg_temp as $$
    insert into conversation_titles (id, title, message_id)
    select c.id, wanted, null from conversations c
    where c.id = conversation and c.owner_id = nullif(current_setting('steward.user', true), '')::uuid
    on conflict (id) do update set title = excluded.title, message_id = null
$$;
revoke execute on function rename_conversation(uuid, text) from public;
grant execute on function rename_conversation(uuid, text) to steward_app;

-- As before, and it gives the conversations that are gone with their end client, each with its runs that had not ended and
-- whose they are: those who took part are told, and forget_conversation takes what the log told of them. The user's other
-- runs are locked, so that those that have not ended can be ended next.
drop function blank_account(uuid);
create function blank_account(person uuid) returns table (conversation uuid, run uuid, asker uuid)
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
    -- What an end client has said is its own; what the staff have said is the firm's. With the locks first, in the order in
    -- which whoever deletes a conversation takes them: its own, then those of its runs.
    perform from conversations c join users u on u.id = c.owner_id
        where u.id = person and u.role = 'CLIENT' order by c.id for update of c;
    perform from runs r join conversations c on c.id = r.conversation_id join users u on u.id = c.owner_id
        where u.id = person and u.role = 'CLIENT' and r.status in ('QUEUED', 'RUNNING')
        order by r.id for update of r;
    return query select c.id, r.id, r.user_id from conversations c
        join users u on u.id = c.owner_id
        left join runs r on r.conversation_id = c.id and r.status in ('QUEUED', 'RUNNING')
        where u.id = person and u.role = 'CLIENT' order by c.id, r.id;
    delete from conversations where owner_id = person and exists (
        select from users u where u.id = person and u.role = 'CLIENT'
    );
    -- Each prompt names whoever has asked; whoever notes one has the lock of its run, which may have ended.
    perform from runs r where r.user_id = person order by r.id for update;
    update model_calls c set prompt = null from runs r where r.id = c.run_id and r.user_id = person;
    update sessions set device = '', address = '' where user_id = person;
end
$$;
revoke execute on function blank_account(uuid) from public;
grant execute on function blank_account(uuid) to steward_app;

-- Conversations: who takes part, what is said, and the runs that answer.
CREATE TABLE conversations (
    id UUID NOT NULL,
    owner_id UUID NOT NULL,
    module TEXT NOT NULL,
    mode TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    archived_at TIMESTAMP WITH TIME ZONE,
    version INTEGER NOT NULL,
    CONSTRAINT conversations_pkey PRIMARY KEY (id),
    CONSTRAINT conversations_module_check CHECK (module IN ('ADVISORY', 'BRAINSTORM', 'PLANNING', 'SUPPORT')),
    CONSTRAINT conversations_mode_check CHECK (mode IN ('SOLO', 'GROUP')),
    CONSTRAINT conversations_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE INDEX conversations_owner_id_idx ON conversations (owner_id);
CREATE TABLE conversation_participants (
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    user_id UUID NOT NULL,
    added_by UUID NOT NULL,
    joined_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT conversation_participants_pkey PRIMARY KEY (id),
    CONSTRAINT conversation_participants_user_id_key UNIQUE (user_id, conversation_id),
    CONSTRAINT conversation_participants_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT conversation_participants_added_by_fkey FOREIGN KEY(added_by) REFERENCES users (id)
);
CREATE INDEX conversation_participants_conversation_id_idx ON conversation_participants (conversation_id);
CREATE TABLE messages (
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    role TEXT NOT NULL,
    author_id UUID,
    agent TEXT,
    reply_to_id UUID,
    run_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    blocks TEXT NOT NULL,
    insight TEXT NOT NULL,
    version INTEGER NOT NULL,
    words TSVECTOR,
    CONSTRAINT messages_pkey PRIMARY KEY (id),
    CONSTRAINT messages_role_check CHECK (role IN ('USER', 'ASSISTANT', 'SYSTEM', 'TOOL')),
    CONSTRAINT messages_conversation_id_fkey FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE,
    CONSTRAINT messages_author_id_fkey FOREIGN KEY(author_id) REFERENCES users (id)
);
CREATE INDEX messages_conversation_id_created_at_id_idx ON messages (conversation_id, created_at, id);
CREATE INDEX messages_words_idx ON messages USING gin (words);
CREATE TABLE conversation_titles (
    id UUID NOT NULL,
    title TEXT NOT NULL,
    message_id UUID,
    CONSTRAINT conversation_titles_pkey PRIMARY KEY (id),
    CONSTRAINT conversation_titles_id_fkey FOREIGN KEY(id) REFERENCES conversations (id) ON DELETE CASCADE
);
CREATE TABLE message_clients (
    conversation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    client_id UUID NOT NULL,
    CONSTRAINT message_clients_pkey PRIMARY KEY (message_id, client_id),
    CONSTRAINT message_clients_message_id_fkey FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
);
CREATE INDEX message_clients_client_id_idx ON message_clients (client_id);
CREATE INDEX message_clients_conversation_id_client_id_idx ON message_clients (conversation_id, client_id);
CREATE TABLE runs (
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    question_id UUID NOT NULL,
    user_id UUID NOT NULL,
    session_id UUID NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    error TEXT,
    retry_of UUID,
    CONSTRAINT runs_pkey PRIMARY KEY (id),
    CONSTRAINT runs_status_check CHECK (status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    CONSTRAINT runs_error_check CHECK (error IN ('CANCELLED', 'INTERNAL', 'INTERRUPTED', 'MODEL_DOWN', 'MODEL_REFUSED', 'OUT_OF_SIGHT', 'SESSION_ENDED')),
    CONSTRAINT runs_conversation_id_fkey FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE,
    CONSTRAINT runs_message_id_fkey FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE,
    CONSTRAINT runs_question_id_fkey FOREIGN KEY(question_id) REFERENCES messages (id) ON DELETE CASCADE,
    CONSTRAINT runs_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT runs_retry_of_key UNIQUE (retry_of)
);
CREATE INDEX runs_conversation_id_idx ON runs (conversation_id);
CREATE INDEX runs_message_id_idx ON runs (message_id);
CREATE INDEX runs_question_id_idx ON runs (question_id);
CREATE INDEX runs_open_idx ON runs (user_id, created_at, id) WHERE status in ('QUEUED', 'RUNNING');
CREATE TABLE tool_uses (
    id UUID NOT NULL,
    run_id UUID NOT NULL,
    message_id UUID NOT NULL,
    round INTEGER NOT NULL,
    position INTEGER NOT NULL,
    block INTEGER NOT NULL,
    said TEXT NOT NULL,
    call_id TEXT NOT NULL,
    name TEXT NOT NULL,
    arguments TEXT NOT NULL,
    line TEXT NOT NULL,
    facts TEXT NOT NULL,
    failed BOOLEAN NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT tool_uses_pkey PRIMARY KEY (id),
    CONSTRAINT tool_uses_run_id_key UNIQUE (run_id, round, position),
    CONSTRAINT tool_uses_run_id_fkey FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
    CONSTRAINT tool_uses_message_id_fkey FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
);
CREATE INDEX tool_uses_message_id_idx ON tool_uses (message_id);
CREATE TABLE run_steps (
    conversation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    state TEXT,
    agent TEXT NOT NULL,
    block INTEGER NOT NULL,
    start INTEGER NOT NULL,
    text TEXT NOT NULL,
    CONSTRAINT run_steps_pkey PRIMARY KEY (message_id, seq),
    CONSTRAINT run_steps_state_check CHECK (state IN ('THINKING', 'TOOL_CALL', 'DELEGATING')),
    CONSTRAINT run_steps_message_id_fkey FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
);

-- A stream knows the last number whose event was kept for its time: what one event stands for does not tell of others
-- between, which may be too old.
alter table event_streams add column forgotten bigint not null default 0;
update event_streams s
    set forgotten = coalesce((select min(e.seq) - 1 from events e where e.stream = s.stream), s.last);
create or replace function forget_expired(moment timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    -- In the order in which streams are always locked, and before the events of whoever appends meanwhile.
    select from event_streams
    where stream in (select e.stream from events e where e.occurred_at < moment - interval '30 days')
    order by stream for no key update;
    with gone as (
        delete from events where occurred_at < moment - interval '30 days' returning stream, seq
    )
    update event_streams s set forgotten = greatest(s.forgotten, last.seq)
    from (select stream, max(seq) as seq from gone group by stream) last
    where s.stream = last.stream;
    delete from receipts where created_at < moment - interval '7 days';
    delete from refresh_tokens where expires_at < moment - interval '1 day';
$$;

-- Whether whoever asks takes part in a conversation; for the policy of the very table that it reads.
create function takes_part(conversation uuid) returns boolean
    language sql stable security definer set search_path = public, pg_temp as $$
    select exists (
        select from conversation_participants p
        where p.conversation_id = conversation
            and p.user_id = nullif(current_setting('steward.user', true), '')::uuid
    )
$$;

-- Whether a conversation is whoever asks's own, who alone says who takes part.
create function owns_conversation(conversation uuid) returns boolean
    language sql stable security definer set search_path = public, pg_temp as $$
    select exists (
        select from conversations c
        where c.id = conversation and c.owner_id = nullif(current_setting('steward.user', true), '')::uuid
    )
$$;

alter table conversations enable row level security;
create policy conversations_see on conversations for select using (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversations.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy conversations_add on conversations for insert with check (owner_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy conversations_change on conversations for update using (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversations.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) with check (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversations.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy conversations_remove on conversations for delete using ((nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversations.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversations.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)));
alter table conversation_participants enable row level security;
create policy conversation_participants_see on conversation_participants for select using (user_id = nullif(current_setting('steward.user', true), '')::uuid or nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or takes_part(conversation_participants.conversation_id));
create policy conversation_participants_add on conversation_participants for insert with check (added_by = nullif(current_setting('steward.user', true), '')::uuid and owns_conversation(conversation_participants.conversation_id));
create policy conversation_participants_change on conversation_participants for update using (user_id = nullif(current_setting('steward.user', true), '')::uuid or nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or takes_part(conversation_participants.conversation_id)) with check (user_id = nullif(current_setting('steward.user', true), '')::uuid or nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or owns_conversation(conversation_participants.conversation_id));
create policy conversation_participants_remove on conversation_participants for delete using ((user_id = nullif(current_setting('steward.user', true), '')::uuid or nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or takes_part(conversation_participants.conversation_id)) and (user_id = nullif(current_setting('steward.user', true), '')::uuid or nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or owns_conversation(conversation_participants.conversation_id)));
alter table messages enable row level security;
create policy messages_see on messages for select using (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = messages.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and not exists (select from message_clients mention where mention.message_id = messages.id and not exists (select from clients where clients.id = mention.client_id)));
create policy messages_add on messages for insert with check (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = messages.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy messages_change on messages for update using (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = messages.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and not exists (select from message_clients mention where mention.message_id = messages.id and not exists (select from clients where clients.id = mention.client_id))) with check (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = messages.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy messages_remove on messages for delete using ((nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = messages.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and not exists (select from message_clients mention where mention.message_id = messages.id and not exists (select from clients where clients.id = mention.client_id))) and (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = messages.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)));
alter table conversation_titles enable row level security;
create policy conversation_titles_see on conversation_titles for select using ((nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversation_titles.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and (message_id is null or exists (select from messages where messages.id = conversation_titles.message_id)));
create policy conversation_titles_add on conversation_titles for insert with check (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversation_titles.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy conversation_titles_change on conversation_titles for update using ((nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversation_titles.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and (message_id is null or exists (select from messages where messages.id = conversation_titles.message_id))) with check (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversation_titles.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy conversation_titles_remove on conversation_titles for delete using (((nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversation_titles.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and (message_id is null or exists (select from messages where messages.id = conversation_titles.message_id))) and (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = conversation_titles.id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)));
alter table message_clients enable row level security;
create policy message_clients_see on message_clients for select using (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = message_clients.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy message_clients_add on message_clients for insert with check (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = message_clients.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid));
create policy message_clients_change on message_clients for update using (nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = message_clients.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) with check (false);
create policy message_clients_remove on message_clients for delete using ((nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = message_clients.conversation_id and part.user_id = nullif(current_setting('steward.user', true), '')::uuid)) and (false));
alter table runs enable row level security;
create policy runs_see on runs for select using (exists (select from messages where messages.id = runs.message_id));
create policy runs_add on runs for insert with check (exists (select from messages where messages.id = runs.message_id));
create policy runs_change on runs for update using (exists (select from messages where messages.id = runs.message_id)) with check (exists (select from messages where messages.id = runs.message_id));
create policy runs_remove on runs for delete using ((exists (select from messages where messages.id = runs.message_id)) and (exists (select from messages where messages.id = runs.message_id)));
alter table tool_uses enable row level security;
create policy tool_uses_see on tool_uses for select using (exists (select from messages where messages.id = tool_uses.message_id));
create policy tool_uses_add on tool_uses for insert with check (exists (select from messages where messages.id = tool_uses.message_id));
create policy tool_uses_change on tool_uses for update using (exists (select from messages where messages.id = tool_uses.message_id)) with check (exists (select from messages where messages.id = tool_uses.message_id));
create policy tool_uses_remove on tool_uses for delete using ((exists (select from messages where messages.id = tool_uses.message_id)) and (exists (select from messages where messages.id = tool_uses.message_id)));
alter table run_steps enable row level security;
create policy run_steps_see on run_steps for select using (exists (select from messages where messages.id = run_steps.message_id));
create policy run_steps_add on run_steps for insert with check (exists (select from messages where messages.id = run_steps.message_id));
create policy run_steps_change on run_steps for update using (exists (select from messages where messages.id = run_steps.message_id)) with check (exists (select from messages where messages.id = run_steps.message_id));
create policy run_steps_remove on run_steps for delete using ((exists (select from messages where messages.id = run_steps.message_id)) and (exists (select from messages where messages.id = run_steps.message_id)));

-- Whether a colleague may sign in, and sees all of these clients: for whoever shares a conversation with it. As
-- `viewer_of` and the policies have it, but for broken glass, which is no say.
create function sees_all(person uuid, wanted uuid[], moment timestamptz) returns boolean
    language sql stable security definer set search_path = public, pg_temp as $$
    select exists (
        select from users u
        where u.id = person and u.status = 'ACTIVE' and u.role not in ('CLIENT', 'SERVICE')
    ) and not exists (
        select from unnest(wanted) as given(id)
        left join clients c on c.id = given.id
        where c.id is null or not exists (
            select from users u
            where u.id = person and case
                when u.role in ('ADMIN', 'AUDITOR') then true
                when u.role = 'VIEWER' and u.team_id is null then false
                else exists (
                    select from memberships m
                    where m.user_id = u.id and m.book_id = c.book_id
                        and m.starts_on <= (moment at time zone u.time_zone)::date
                        and (m.ends_on is null or m.ends_on >= (moment at time zone u.time_zone)::date)
                ) or exists (
                    select from books b
                    where b.id = c.book_id and (
                        (u.role = 'BU_MANAGER' and b.unit_id = u.unit_id)
                        or (u.role in ('SUPERVISOR', 'VIEWER') and b.team_id = u.team_id)
                    )
                )
            end
        )
    ) and coalesce(current_setting('steward.user', true), '') <> ''
$$;

-- How many of a user's runs are under way and wait, for the user itself and the firm: all of them, also those of messages
-- that it sees no longer.
create function open_runs(person uuid) returns table (status text, many bigint)
    language sql stable security definer set search_path = public, pg_temp as $$
    select r.status, count(*) from runs r
    where r.user_id = person and r.status in ('QUEUED', 'RUNNING')
        and nullif(current_setting('steward.user', true), '')::uuid in (person, '00000000-0000-0000-0000-000000000000')
    group by r.status
$$;

-- The runs of a conversation that have not ended, and whose they are, for its owner: also those of messages that it does
-- not see, for they end with it. With their locks, in the order in which others take them.
create function open_runs_of(conversation uuid) returns table (run_id uuid, user_id uuid)
    language sql security definer set search_path = public, pg_temp as $$
    select r.id, r.user_id from runs r
    join conversations c on c.id = r.conversation_id
    where c.id = conversation and c.owner_id = nullif(current_setting('steward.user', true), '')::uuid
        and r.status in ('QUEUED', 'RUNNING')
    order by r.id
    for update of r
$$;

-- The messages of the conversations that whoever asks takes part in which hold such words; the policy of messages cuts
-- them once more. Under a policy the index would not be used.
create function search_messages(wanted tsquery) returns table (id uuid)
    language sql stable security definer set search_path = public, pg_temp as $$
    select m.id from messages m
    join conversation_participants p on p.conversation_id = m.conversation_id
    where p.user_id = nullif(current_setting('steward.user', true), '')::uuid and m.words @@ wanted
$$;

-- Forgets the steps of an answer whose run has ended, and the events that tell of them; gives the first one's number.
create function forget_steps(message uuid) returns bigint
    language sql security definer set search_path = public, pg_temp as $$
    with ended as (
        select r.message_id, 'conversation:' || r.conversation_id as stream from runs r
        where r.message_id = message and r.status not in ('QUEUED', 'RUNNING')
    ), steps as (
        delete from run_steps s using ended where s.message_id = ended.message_id
    ), forgotten as (
        delete from events e using ended
        where e.stream = ended.stream and e.entity_id = ended.message_id
            and e.kind in ('TEXT_DELTA', 'AGENT_STATUS', 'BLOCK_ADDED')
        returning e.seq
    )
    select min(seq) from forgotten
$$;

-- What was said about a client whose key is destroyed, and what it was said from. That something was said stays.
create function blank_messages(client uuid, nothing text) returns bigint
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    blanked bigint;
begin
    if not exists (select from person_keys where person_id = client and destroyed_at is not null) then
        raise insufficient_privilege using message = 'the client is not erased';
    end if;
    -- Whatever a conversation about it is called, by hand too.
    update conversation_titles t set title = nothing, message_id = null
        from message_clients m where m.client_id = client and m.conversation_id = t.id;
    -- Nobody writes on of it.
    update runs r set status = 'CANCELLED', error = 'CANCELLED', ended_at = now()
        from message_clients m
        where m.client_id = client and m.message_id = r.message_id and r.status in ('QUEUED', 'RUNNING');
    delete from tool_uses u using message_clients m where m.client_id = client and m.message_id = u.message_id;
    delete from run_steps s using message_clients m where m.client_id = client and m.message_id = s.message_id;
    update messages g set blocks = '[]', insight = '{}', words = null, version = version + 1
        from message_clients m where m.client_id = client and m.message_id = g.id;
    get diagnostics blanked = row_count;
    return blanked;
end
$$;

-- As before, with an end client's conversations.
create or replace function blank_account(person uuid) returns void
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
    -- What an end client has said is its own; what the staff have said is the firm's.
    delete from conversations where owner_id = person and exists (
        select from users u where u.id = person and u.role = 'CLIENT'
    );
    update sessions set device = '', address = '' where user_id = person;
end
$$;

-- Whether a run was tried again, by whoever takes part: its answer may be about clients whom who asks does not see.
create function is_retried(run uuid) returns boolean
    language sql stable security definer set search_path = public, pg_temp as $$
    select exists (select from runs r where r.retry_of = run)
        and coalesce(current_setting('steward.user', true), '') <> ''
$$;

-- Forgets the events of a conversation that was deleted.
create function forget_conversation(conversation uuid) returns void
    language sql security definer set search_path = public, pg_temp as $$
    delete from events where stream = 'conversation:' || conversation
        and not exists (select from conversations c where c.id = conversation);
    -- What comes next says that it is gone, and so stands for all that was there.
    update event_streams set forgotten = 0 where stream = 'conversation:' || conversation
        and not exists (select from conversations c where c.id = conversation);
$$;

-- Forgets who took part in conversations that were deleted, once the log has forgotten that they were.
create function forget_participants() returns void
    language sql security definer set search_path = public, pg_temp as $$
    delete from conversation_participants p
    where not exists (select from conversations c where c.id = p.conversation_id)
        and not exists (select from events e where e.stream = 'conversation:' || p.conversation_id)
$$;
revoke execute on function takes_part(uuid), owns_conversation(uuid), sees_all(uuid, uuid[], timestamptz),
    search_messages(tsquery), open_runs(uuid),
    open_runs_of(uuid), is_retried(uuid), blank_messages(uuid, text), forget_steps(uuid), forget_conversation(uuid),
    forget_participants() from public;
grant execute on function takes_part(uuid), owns_conversation(uuid), sees_all(uuid, uuid[], timestamptz),
    search_messages(tsquery), open_runs(uuid),
    open_runs_of(uuid), is_retried(uuid), blank_messages(uuid, text), forget_steps(uuid), forget_conversation(uuid),
    forget_participants() to steward_app;

grant select, insert, update, delete on conversations, conversation_participants to steward_app;
grant select, insert, update on messages, conversation_titles, runs to steward_app;
grant select, insert on message_clients, tool_uses, run_steps to steward_app;

-- An event may stand for others, and the streams of conversations are read by who takes part in them.
alter table events add column since bigint;
drop policy events_see on events;
drop policy events_change on events;
drop policy events_remove on events;
create policy events_see on events for select using (case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) when stream like 'conversation:%' then nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = substr(stream, 14)::uuid and part.user_id = nullif(current_setting('steward.user', true), '')::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end);
create policy events_change on events for update using (case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) when stream like 'conversation:%' then nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = substr(stream, 14)::uuid and part.user_id = nullif(current_setting('steward.user', true), '')::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end) with check (false);
create policy events_remove on events for delete using ((case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) when stream like 'conversation:%' then nullif(current_setting('steward.user', true), '')::uuid = '00000000-0000-0000-0000-000000000000' or exists (select from conversation_participants part where part.conversation_id = substr(stream, 14)::uuid and part.user_id = nullif(current_setting('steward.user', true), '')::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end) and (false));

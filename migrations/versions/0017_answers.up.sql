-- What each call of a model has cost, in whatever attempt of a run.
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

-- Sign-in by other providers of identity: the ways to them and back that were begun, and the accounts there that sign
-- users in. Beside it, which of the firm's keys has sealed a person's key, so that the firm's can be exchanged.

alter table person_keys add column key_id text;

CREATE TABLE provider_flows (
    id UUID NOT NULL,
    provider TEXT NOT NULL,
    purpose TEXT NOT NULL,
    flow_digest TEXT NOT NULL,
    state_digest TEXT NOT NULL,
    user_id UUID,
    session_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT provider_flows_pkey PRIMARY KEY (id),
    CONSTRAINT provider_flows_purpose_check CHECK (purpose IN ('SIGN_IN', 'LINK', 'REAUTHENTICATE')),
    CONSTRAINT provider_flows_flow_digest_key UNIQUE (flow_digest),
    CONSTRAINT provider_flows_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT provider_flows_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
);
CREATE INDEX provider_flows_created_at_idx ON provider_flows (created_at);
alter table provider_flows enable row level security;
create policy provider_flows_see on provider_flows for select using (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy provider_flows_add on provider_flows for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy provider_flows_change on provider_flows for update using (coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy provider_flows_remove on provider_flows for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.identity', true), '') = 'on'));

CREATE TABLE provider_identities (
    id UUID NOT NULL,
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id UUID NOT NULL,
    email TEXT,
    linked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT provider_identities_pkey PRIMARY KEY (id),
    CONSTRAINT provider_identities_provider_key UNIQUE (provider, subject),
    CONSTRAINT provider_identities_user_id_key UNIQUE (user_id, provider),
    CONSTRAINT provider_identities_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
alter table provider_identities enable row level security;
create policy provider_identities_see on provider_identities for select using (coalesce(current_setting('steward.identity', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy provider_identities_add on provider_identities for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy provider_identities_change on provider_identities for update using (coalesce(current_setting('steward.identity', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid) with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy provider_identities_remove on provider_identities for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid) and (coalesce(current_setting('steward.identity', true), '') = 'on'));

-- Flows are worth nothing once they are too old to be used. The server may delete none itself.
create function forget_provider_flows(moment timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    delete from provider_flows where created_at < moment - interval '1 hour';
$$;
revoke execute on function forget_provider_flows(timestamptz) from public;
grant execute on function forget_provider_flows(timestamptz) to steward_app;

grant select, insert, update on provider_flows to steward_app;
grant select, insert, delete on provider_identities to steward_app;

-- Links that are mailed to people, and what users prefer.

CREATE TABLE account_links (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    previous_address TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT account_links_pkey PRIMARY KEY (id),
    CONSTRAINT account_links_kind_check CHECK (kind IN ('INVITATION', 'PASSWORD_RESET', 'EMAIL_VERIFICATION')),
    CONSTRAINT account_links_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX account_links_expires_at_idx ON account_links (expires_at);
CREATE INDEX account_links_user_id_kind_created_at_idx ON account_links (user_id, kind, created_at);

CREATE TABLE user_preferences (
    id UUID NOT NULL,
    settings TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT user_preferences_pkey PRIMARY KEY (id),
    CONSTRAINT user_preferences_size_check CHECK (octet_length(settings) <= 16384),
    CONSTRAINT user_preferences_id_fkey FOREIGN KEY(id) REFERENCES users (id)
);

-- What lists of users are ordered by.
CREATE INDEX users_sort_name_id_idx ON users (sort_name, id);
CREATE INDEX users_created_at_id_idx ON users (created_at, id);

-- Links are kept for a month past their end, for whoever asks what was mailed.
create function forget_links(moment timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    delete from account_links where expires_at < moment - interval '30 days';
$$;
revoke execute on function forget_links(timestamptz) from public;
grant execute on function forget_links(timestamptz) to steward_app;

grant select, insert, update, delete on account_links, user_preferences to steward_app;

alter table account_links enable row level security;
create policy account_links_see on account_links for select using (coalesce(current_setting('steward.identity', true), '') = 'on' or coalesce(current_setting('steward.everything', true), '') = 'on');
create policy account_links_add on account_links for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy account_links_change on account_links for update using (coalesce(current_setting('steward.identity', true), '') = 'on' or coalesce(current_setting('steward.everything', true), '') = 'on') with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy account_links_remove on account_links for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on' or coalesce(current_setting('steward.everything', true), '') = 'on') and (coalesce(current_setting('steward.identity', true), '') = 'on'));
alter table user_preferences enable row level security;
create policy user_preferences_see on user_preferences for select using (id = nullif(current_setting('steward.user', true), '')::uuid);
create policy user_preferences_add on user_preferences for insert with check (id = nullif(current_setting('steward.user', true), '')::uuid);
create policy user_preferences_change on user_preferences for update using (id = nullif(current_setting('steward.user', true), '')::uuid) with check (id = nullif(current_setting('steward.user', true), '')::uuid);
create policy user_preferences_remove on user_preferences for delete using ((id = nullif(current_setting('steward.user', true), '')::uuid) and (id = nullif(current_setting('steward.user', true), '')::uuid));

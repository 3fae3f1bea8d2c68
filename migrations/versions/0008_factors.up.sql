-- Second factors, and the failed attempts to sign in.

CREATE TABLE second_factors (
    id UUID NOT NULL,
    sealed BYTEA,
    pending BYTEA,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    last_step BIGINT NOT NULL,
    CONSTRAINT second_factors_pkey PRIMARY KEY (id),
    CONSTRAINT second_factors_id_fkey FOREIGN KEY(id) REFERENCES users (id)
);

CREATE TABLE recovery_codes (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    digest TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (id),
    CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX recovery_codes_user_id_idx ON recovery_codes (user_id);

CREATE TABLE sign_in_challenges (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT sign_in_challenges_pkey PRIMARY KEY (id),
    CONSTRAINT sign_in_challenges_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX sign_in_challenges_expires_at_idx ON sign_in_challenges (expires_at);
CREATE INDEX sign_in_challenges_user_id_idx ON sign_in_challenges (user_id);

CREATE TABLE sign_in_attempts (
    key TEXT NOT NULL,
    failures INTEGER NOT NULL,
    last_failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    blocked_until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT sign_in_attempts_pkey PRIMARY KEY (key)
);
CREATE INDEX sign_in_attempts_last_failed_at_idx ON sign_in_attempts (last_failed_at);

-- By the hour: what no longer slows anybody down, and challenges that nobody can answer any more.
create function forget_sign_ins(moment timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    delete from sign_in_attempts where last_failed_at < moment - interval '1 day';
    delete from sign_in_challenges where expires_at < moment - interval '1 day';
$$;
revoke execute on function forget_sign_ins(timestamptz) from public;
grant execute on function forget_sign_ins(timestamptz) to steward_app;

grant select, insert, update on second_factors, recovery_codes, sign_in_challenges, sign_in_attempts to steward_app;
grant delete on recovery_codes to steward_app;

alter table second_factors enable row level security;
create policy second_factors_see on second_factors for select using (coalesce(current_setting('steward.identity', true), '') = 'on' or id = nullif(current_setting('steward.user', true), '')::uuid);
create policy second_factors_add on second_factors for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy second_factors_change on second_factors for update using (coalesce(current_setting('steward.identity', true), '') = 'on' or id = nullif(current_setting('steward.user', true), '')::uuid) with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy second_factors_remove on second_factors for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on' or id = nullif(current_setting('steward.user', true), '')::uuid) and (coalesce(current_setting('steward.identity', true), '') = 'on'));
alter table recovery_codes enable row level security;
create policy recovery_codes_see on recovery_codes for select using (coalesce(current_setting('steward.identity', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy recovery_codes_add on recovery_codes for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy recovery_codes_change on recovery_codes for update using (coalesce(current_setting('steward.identity', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid) with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy recovery_codes_remove on recovery_codes for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on' or user_id = nullif(current_setting('steward.user', true), '')::uuid) and (coalesce(current_setting('steward.identity', true), '') = 'on'));
alter table sign_in_challenges enable row level security;
create policy sign_in_challenges_see on sign_in_challenges for select using (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sign_in_challenges_add on sign_in_challenges for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sign_in_challenges_change on sign_in_challenges for update using (coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sign_in_challenges_remove on sign_in_challenges for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.identity', true), '') = 'on'));
alter table sign_in_attempts enable row level security;
create policy sign_in_attempts_see on sign_in_attempts for select using (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sign_in_attempts_add on sign_in_attempts for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sign_in_attempts_change on sign_in_attempts for update using (coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sign_in_attempts_remove on sign_in_attempts for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.identity', true), '') = 'on'));

-- The advisory core: the organisation, clients, the ledger and what it folds to, events and the audit trail.
-- Owned by steward_owner; the server acts as steward_app, which the policies cut to what the viewer sees.

CREATE SEQUENCE account_numbers START WITH 10000001;

CREATE TABLE audit_events (
    id UUID NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_id UUID,
    session_id UUID,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_id UUID,
    before JSONB,
    after JSONB,
    CONSTRAINT audit_events_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_events_object_id_occurred_at_idx ON audit_events (object_id, occurred_at);
CREATE INDEX audit_events_occurred_at_idx ON audit_events (occurred_at);

CREATE TABLE event_streams (
    stream TEXT NOT NULL,
    last BIGINT NOT NULL,
    CONSTRAINT event_streams_pkey PRIMARY KEY (stream)
);

CREATE TABLE events (
    stream TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    entity_id UUID NOT NULL,
    version INTEGER NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (stream, seq)
);
CREATE INDEX events_occurred_at_idx ON events (occurred_at);

CREATE TABLE fx_rates (
    currency TEXT NOT NULL,
    quoted_on DATE NOT NULL,
    usd NUMERIC(24, 10) NOT NULL,
    CONSTRAINT fx_rates_pkey PRIMARY KEY (currency, quoted_on)
);

CREATE TABLE instruments (
    id UUID NOT NULL,
    symbol TEXT NOT NULL,
    isin TEXT NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    sector TEXT NOT NULL,
    exchange TEXT NOT NULL,
    currency TEXT NOT NULL,
    lot_size NUMERIC(24, 10) NOT NULL,
    status TEXT NOT NULL,
    CONSTRAINT instruments_pkey PRIMARY KEY (id),
    CONSTRAINT instruments_asset_class_check CHECK (asset_class IN ('EQUITY', 'DEBT', 'GOLD', 'REAL_ESTATE', 'COMMODITY', 'ALTERNATIVE', 'CASH')),
    CONSTRAINT instruments_status_check CHECK (status IN ('ACTIVE', 'SUSPENDED', 'DELISTED')),
    CONSTRAINT instruments_symbol_key UNIQUE (symbol),
    CONSTRAINT instruments_isin_key UNIQUE (isin)
);
CREATE INDEX instruments_sort_name_id_idx ON instruments (sort_name, id);
CREATE INDEX instruments_symbol_id_idx ON instruments (symbol, id);

CREATE TABLE person_keys (
    person_id UUID NOT NULL,
    sealed_key BYTEA NOT NULL,
    CONSTRAINT person_keys_pkey PRIMARY KEY (person_id)
);

CREATE TABLE receipts (
    user_id UUID NOT NULL,
    mutation TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    result_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT receipts_pkey PRIMARY KEY (user_id, mutation, key)
);
CREATE INDEX receipts_created_at_idx ON receipts (created_at);

CREATE TABLE units (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    CONSTRAINT units_pkey PRIMARY KEY (id),
    CONSTRAINT units_name_key UNIQUE (name)
);

CREATE TABLE prices (
    instrument_id UUID NOT NULL,
    priced_on DATE NOT NULL,
    close NUMERIC(24, 10) NOT NULL,
    CONSTRAINT prices_pkey PRIMARY KEY (instrument_id, priced_on),
    CONSTRAINT prices_instrument_id_fkey FOREIGN KEY(instrument_id) REFERENCES instruments (id)
);

CREATE TABLE teams (
    id UUID NOT NULL,
    unit_id UUID NOT NULL,
    name TEXT NOT NULL,
    CONSTRAINT teams_pkey PRIMARY KEY (id),
    CONSTRAINT teams_id_key UNIQUE (id, unit_id),
    CONSTRAINT teams_unit_id_fkey FOREIGN KEY(unit_id) REFERENCES units (id),
    CONSTRAINT teams_name_key UNIQUE (name)
);

CREATE TABLE books (
    id UUID NOT NULL,
    team_id UUID NOT NULL,
    unit_id UUID NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    opened_on DATE NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT books_pkey PRIMARY KEY (id),
    CONSTRAINT books_team_id_fkey FOREIGN KEY(team_id, unit_id) REFERENCES teams (id, unit_id)
);
CREATE INDEX books_sort_name_id_idx ON books (sort_name, id);
CREATE INDEX books_team_id_idx ON books (team_id);

CREATE TABLE users (
    id UUID NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    picture_url TEXT,
    locale TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    role TEXT NOT NULL,
    unit_id UUID,
    team_id UUID,
    client_id UUID,
    status TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_role_check CHECK (role IN ('ADMIN', 'BU_MANAGER', 'SUPERVISOR', 'ADVISOR', 'VIEWER', 'ANALYST', 'AUDITOR', 'CLIENT', 'SERVICE')),
    CONSTRAINT users_status_check CHECK (status IN ('ACTIVE', 'DISABLED')),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_unit_id_fkey FOREIGN KEY(unit_id) REFERENCES units (id),
    CONSTRAINT users_team_id_fkey FOREIGN KEY(team_id) REFERENCES teams (id)
);
CREATE INDEX users_team_id_role_idx ON users (team_id, role);

CREATE TABLE credentials (
    id UUID NOT NULL,
    password_hash TEXT NOT NULL,
    CONSTRAINT credentials_pkey PRIMARY KEY (id),
    CONSTRAINT credentials_id_fkey FOREIGN KEY(id) REFERENCES users (id)
);

CREATE TABLE households (
    id UUID NOT NULL,
    book_id UUID NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    currency TEXT NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT households_pkey PRIMARY KEY (id),
    CONSTRAINT households_book_id_fkey FOREIGN KEY(book_id) REFERENCES books (id)
);
CREATE INDEX households_book_id_sort_name_id_idx ON households (book_id, sort_name, id);
CREATE INDEX households_sort_name_id_idx ON households (sort_name, id);

CREATE TABLE memberships (
    id UUID NOT NULL,
    book_id UUID NOT NULL,
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    starts_on DATE NOT NULL,
    ends_on DATE,
    version INTEGER NOT NULL,
    CONSTRAINT memberships_pkey PRIMARY KEY (id),
    CONSTRAINT memberships_kind_check CHECK (kind IN ('ADVISOR', 'STAND_IN', 'ASSISTANT', 'RESEARCH')),
    CONSTRAINT memberships_order_check CHECK (ends_on is null or ends_on >= starts_on - 1),
    CONSTRAINT memberships_book_id_fkey FOREIGN KEY(book_id) REFERENCES books (id),
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX memberships_book_id_starts_on_idx ON memberships (book_id, starts_on);
CREATE INDEX memberships_user_id_idx ON memberships (user_id);

CREATE TABLE notifications (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_id UUID,
    book_id UUID,
    client_id UUID,
    portfolio_id UUID,
    transaction_id UUID,
    amount NUMERIC(20, 4),
    currency TEXT,
    read_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT notifications_pkey PRIMARY KEY (id),
    CONSTRAINT notifications_kind_check CHECK (kind IN ('CLIENT_ARRIVED', 'CLIENT_LEFT', 'KYC_CHANGED', 'LARGE_DEPOSIT', 'LARGE_WITHDRAWAL', 'ENTRY_REVERSED')),
    CONSTRAINT notifications_user_id_key UNIQUE (user_id, seq),
    CONSTRAINT notifications_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX notifications_unread_idx ON notifications (user_id) WHERE read_at is null;

CREATE TABLE sessions (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);

CREATE TABLE clients (
    id UUID NOT NULL,
    book_id UUID NOT NULL,
    household_id UUID,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    date_of_birth DATE,
    segment TEXT NOT NULL,
    status TEXT NOT NULL,
    risk_profile TEXT,
    kyc_status TEXT NOT NULL,
    kyc_expires_on DATE,
    currency TEXT NOT NULL,
    tags TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT clients_pkey PRIMARY KEY (id),
    CONSTRAINT clients_kind_check CHECK (kind IN ('INDIVIDUAL', 'JOINT', 'MINOR', 'HUF', 'COMPANY', 'TRUST')),
    CONSTRAINT clients_segment_check CHECK (segment IN ('RETAIL', 'AFFLUENT', 'HNI', 'UHNI')),
    CONSTRAINT clients_status_check CHECK (status IN ('PROSPECT', 'ACTIVE', 'DORMANT', 'ARCHIVED')),
    CONSTRAINT clients_risk_profile_check CHECK (risk_profile IN ('CONSERVATIVE', 'MODERATE', 'AGGRESSIVE')),
    CONSTRAINT clients_kyc_status_check CHECK (kyc_status IN ('PENDING', 'VERIFIED', 'EXPIRED', 'REJECTED')),
    CONSTRAINT clients_id_key UNIQUE (id, book_id),
    CONSTRAINT clients_book_id_fkey FOREIGN KEY(book_id) REFERENCES books (id),
    CONSTRAINT clients_household_id_fkey FOREIGN KEY(household_id) REFERENCES households (id)
);
CREATE INDEX clients_book_id_created_at_id_idx ON clients (book_id, created_at, id);
CREATE INDEX clients_book_id_sort_name_id_idx ON clients (book_id, sort_name, id);
CREATE INDEX clients_book_id_updated_at_id_idx ON clients (book_id, updated_at, id);
CREATE INDEX clients_created_at_id_idx ON clients (created_at, id);
CREATE INDEX clients_household_id_idx ON clients (household_id);
CREATE INDEX clients_sort_name_id_idx ON clients (sort_name, id);
CREATE INDEX clients_updated_at_id_idx ON clients (updated_at, id);

CREATE TABLE refresh_tokens (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
    digest TEXT NOT NULL,
    issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY(session_id) REFERENCES sessions (id),
    CONSTRAINT refresh_tokens_digest_key UNIQUE (digest)
);
CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);

CREATE TABLE client_parties (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    date_of_birth DATE,
    relationship TEXT,
    share NUMERIC(7, 4),
    CONSTRAINT client_parties_pkey PRIMARY KEY (id),
    CONSTRAINT client_parties_role_check CHECK (role IN ('HOLDER', 'GUARDIAN', 'KARTA', 'MEMBER', 'DIRECTOR', 'TRUSTEE', 'BENEFICIARY', 'NOMINEE')),
    CONSTRAINT client_parties_client_id_fkey FOREIGN KEY(client_id) REFERENCES clients (id) ON DELETE CASCADE
);
CREATE INDEX client_parties_client_id_idx ON client_parties (client_id);

CREATE TABLE client_profiles (
    id UUID NOT NULL,
    notes TEXT NOT NULL,
    channel TEXT NOT NULL,
    language TEXT NOT NULL,
    do_not_disturb BOOLEAN NOT NULL,
    CONSTRAINT client_profiles_pkey PRIMARY KEY (id),
    CONSTRAINT client_profiles_channel_check CHECK (channel IN ('EMAIL', 'PHONE', 'MESSAGE', 'IN_PERSON')),
    CONSTRAINT client_profiles_id_fkey FOREIGN KEY(id) REFERENCES clients (id) ON DELETE CASCADE
);

CREATE TABLE client_tax_ids (
    id UUID NOT NULL,
    sealed BYTEA NOT NULL,
    masked TEXT NOT NULL,
    CONSTRAINT client_tax_ids_pkey PRIMARY KEY (id),
    CONSTRAINT client_tax_ids_id_fkey FOREIGN KEY(id) REFERENCES clients (id) ON DELETE CASCADE
);

CREATE TABLE client_words (
    client_id UUID NOT NULL,
    word TEXT NOT NULL,
    book_id UUID NOT NULL,
    CONSTRAINT client_words_pkey PRIMARY KEY (client_id, word),
    CONSTRAINT client_words_client_id_fkey FOREIGN KEY(client_id, book_id) REFERENCES clients (id, book_id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX client_words_word_client_id_idx ON client_words (word, client_id);

CREATE TABLE portfolios (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    book_id UUID NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    account_number TEXT NOT NULL,
    base_currency TEXT NOT NULL,
    benchmark TEXT,
    opened_on DATE NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT portfolios_pkey PRIMARY KEY (id),
    CONSTRAINT portfolios_status_check CHECK (status IN ('OPEN', 'CLOSED')),
    CONSTRAINT portfolios_client_id_fkey FOREIGN KEY(client_id, book_id) REFERENCES clients (id, book_id) ON UPDATE CASCADE,
    CONSTRAINT portfolios_id_key UNIQUE (id, client_id),
    CONSTRAINT portfolios_account_number_key UNIQUE (account_number)
);
CREATE INDEX portfolios_book_id_opened_on_id_idx ON portfolios (book_id, opened_on, id);
CREATE INDEX portfolios_book_id_sort_name_id_idx ON portfolios (book_id, sort_name, id);
CREATE INDEX portfolios_client_id_idx ON portfolios (client_id);
CREATE INDEX portfolios_opened_on_id_idx ON portfolios (opened_on, id);
CREATE INDEX portfolios_sort_name_id_idx ON portfolios (sort_name, id);

CREATE TABLE cash_balances (
    id UUID NOT NULL,
    portfolio_id UUID NOT NULL,
    client_id UUID NOT NULL,
    book_id UUID NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(20, 4) NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT cash_balances_pkey PRIMARY KEY (id),
    CONSTRAINT cash_balances_client_id_fkey FOREIGN KEY(client_id, book_id) REFERENCES clients (id, book_id) ON UPDATE CASCADE,
    CONSTRAINT cash_balances_portfolio_id_fkey FOREIGN KEY(portfolio_id, client_id) REFERENCES portfolios (id, client_id),
    CONSTRAINT cash_balances_portfolio_id_key UNIQUE (portfolio_id, currency)
);
CREATE INDEX cash_balances_book_id_idx ON cash_balances (book_id);
CREATE INDEX cash_balances_client_id_idx ON cash_balances (client_id);

CREATE TABLE portfolio_targets (
    id UUID NOT NULL,
    portfolio_id UUID NOT NULL,
    asset_class TEXT NOT NULL,
    weight NUMERIC(7, 6) NOT NULL,
    CONSTRAINT portfolio_targets_pkey PRIMARY KEY (id),
    CONSTRAINT portfolio_targets_asset_class_check CHECK (asset_class IN ('EQUITY', 'DEBT', 'GOLD', 'REAL_ESTATE', 'COMMODITY', 'ALTERNATIVE', 'CASH')),
    CONSTRAINT portfolio_targets_portfolio_id_key UNIQUE (portfolio_id, asset_class),
    CONSTRAINT portfolio_targets_portfolio_id_fkey FOREIGN KEY(portfolio_id) REFERENCES portfolios (id)
);

CREATE TABLE positions (
    id UUID NOT NULL,
    portfolio_id UUID NOT NULL,
    client_id UUID NOT NULL,
    book_id UUID NOT NULL,
    instrument_id UUID NOT NULL,
    symbol TEXT NOT NULL,
    quantity NUMERIC(24, 10) NOT NULL,
    total_cost NUMERIC(20, 4) NOT NULL,
    realised_gain NUMERIC(20, 4) NOT NULL,
    dividends NUMERIC(20, 4) NOT NULL,
    currency TEXT NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT positions_pkey PRIMARY KEY (id),
    CONSTRAINT positions_client_id_fkey FOREIGN KEY(client_id, book_id) REFERENCES clients (id, book_id) ON UPDATE CASCADE,
    CONSTRAINT positions_portfolio_id_fkey FOREIGN KEY(portfolio_id, client_id) REFERENCES portfolios (id, client_id),
    CONSTRAINT positions_portfolio_id_key UNIQUE (portfolio_id, instrument_id),
    CONSTRAINT positions_instrument_id_fkey FOREIGN KEY(instrument_id) REFERENCES instruments (id)
);
CREATE INDEX positions_book_id_idx ON positions (book_id);
CREATE INDEX positions_client_id_idx ON positions (client_id);
CREATE INDEX positions_portfolio_id_symbol_id_idx ON positions (portfolio_id, symbol, id);
CREATE INDEX positions_portfolio_id_total_cost_id_idx ON positions (portfolio_id, total_cost, id);

CREATE TABLE transactions (
    id UUID NOT NULL,
    portfolio_id UUID NOT NULL,
    client_id UUID NOT NULL,
    book_id UUID NOT NULL,
    kind TEXT NOT NULL,
    instrument_id UUID,
    quantity NUMERIC(24, 10),
    price NUMERIC(24, 10),
    amount NUMERIC(20, 4) NOT NULL,
    currency TEXT NOT NULL,
    brokerage NUMERIC(20, 4) NOT NULL,
    transaction_tax NUMERIC(20, 4) NOT NULL,
    stamp_duty NUMERIC(20, 4) NOT NULL,
    other_charges NUMERIC(20, 4) NOT NULL,
    cost NUMERIC(20, 4),
    acquired_on DATE,
    ratio_new INTEGER,
    ratio_old INTEGER,
    traded_on DATE NOT NULL,
    settles_on DATE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_by UUID NOT NULL,
    reverses_id UUID,
    reference TEXT,
    note TEXT,
    CONSTRAINT transactions_pkey PRIMARY KEY (id),
    CONSTRAINT transactions_kind_check CHECK (kind IN ('DEPOSIT', 'WITHDRAWAL', 'BUY', 'SELL', 'DIVIDEND', 'INTEREST', 'FEE', 'TAX', 'SPLIT', 'BONUS', 'TRANSFER_IN', 'TRANSFER_OUT', 'REVERSAL')),
    CONSTRAINT transactions_client_id_fkey FOREIGN KEY(client_id, book_id) REFERENCES clients (id, book_id) ON UPDATE CASCADE,
    CONSTRAINT transactions_portfolio_id_fkey FOREIGN KEY(portfolio_id, client_id) REFERENCES portfolios (id, client_id),
    CONSTRAINT transactions_quantity_check CHECK (quantity > 0),
    CONSTRAINT transactions_reversal_check CHECK ((kind = 'REVERSAL') = (reverses_id is not null)),
    CONSTRAINT transactions_instrument_id_fkey FOREIGN KEY(instrument_id) REFERENCES instruments (id),
    CONSTRAINT transactions_recorded_by_fkey FOREIGN KEY(recorded_by) REFERENCES users (id),
    CONSTRAINT transactions_reverses_id_key UNIQUE (reverses_id),
    CONSTRAINT transactions_reverses_id_fkey FOREIGN KEY(reverses_id) REFERENCES transactions (id)
);
CREATE INDEX transactions_actions_idx ON transactions (portfolio_id) WHERE ratio_new is not null;
CREATE INDEX transactions_book_id_recorded_at_id_idx ON transactions (book_id, recorded_at, id);
CREATE INDEX transactions_book_id_traded_on_id_idx ON transactions (book_id, traded_on, id);
CREATE INDEX transactions_client_actions_idx ON transactions (client_id) WHERE ratio_new is not null;
CREATE INDEX transactions_client_id_idx ON transactions (client_id);
CREATE INDEX transactions_portfolio_id_recorded_at_id_idx ON transactions (portfolio_id, recorded_at, id);
CREATE INDEX transactions_portfolio_id_traded_on_id_idx ON transactions (portfolio_id, traded_on, id);
CREATE INDEX transactions_recorded_at_id_idx ON transactions (recorded_at, id);
CREATE INDEX transactions_traded_on_id_idx ON transactions (traded_on, id);

CREATE TABLE lots (
    id UUID NOT NULL,
    position_id UUID NOT NULL,
    ordinal INTEGER NOT NULL,
    opened_on DATE NOT NULL,
    quantity NUMERIC(24, 10) NOT NULL,
    cost NUMERIC(20, 4) NOT NULL,
    currency TEXT NOT NULL,
    CONSTRAINT lots_pkey PRIMARY KEY (id),
    CONSTRAINT lots_position_id_fkey FOREIGN KEY(position_id) REFERENCES positions (id)
);
CREATE INDEX lots_position_id_ordinal_idx ON lots (position_id, ordinal);

ALTER TABLE users ADD CONSTRAINT users_client_id_fkey FOREIGN KEY(client_id) REFERENCES clients (id);

-- The ledger is append-only: an entry is reversed, never edited. A client that changes hands takes its entries along,
-- by the cascade of (client_id, book_id), and that one column may change.
create function keep_ledger() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and to_jsonb(new) - 'book_id' = to_jsonb(old) - 'book_id' then
        return new;
    end if;
    raise exception 'the ledger is append-only';
end
$$;
create trigger transactions_append_only before update or delete on transactions
    for each row execute function keep_ledger();

create function keep_trail() returns trigger language plpgsql as $$
begin
    raise exception 'the audit trail is append-only';
end
$$;
create trigger audit_events_append_only before update or delete on audit_events
    for each row execute function keep_trail();

-- Vetted functions: they run as the owner, past the policies, and tell no more than their result.

-- Asked by the statement that lends a connection, before the policies know a viewer.
create function session_stands(session uuid) returns boolean
    language sql stable security definer set search_path = public, pg_temp as $$
    select exists (
        select from sessions s join users u on u.id = s.user_id
        where s.id = session and s.revoked_at is null and s.expires_at > now() and u.status = 'ACTIVE'
    )
$$;

-- Whoever a session belongs to, and whose rows it sees: the books of its team or unit, the books it is a member of
-- on its own calendar day, or, for an end client, its household.
create function viewer_of(session uuid, moment timestamptz)
    returns table (
        user_id uuid, session_id uuid, role text, team_id uuid, unit_id uuid, locale text, time_zone text,
        book_ids uuid[], client_ids uuid[]
    )
    language sql stable security definer set search_path = public, pg_temp as $$
    select u.id, s.id, u.role, u.team_id, u.unit_id, u.locale, u.time_zone,
        array(
            select b.id from books b
            where (u.role = 'BU_MANAGER' and b.unit_id = u.unit_id)
                or (u.role in ('SUPERVISOR', 'VIEWER') and b.team_id = u.team_id)
            union
            select m.book_id from memberships m
            where u.role <> 'CLIENT' and m.user_id = u.id
                and m.starts_on <= (moment at time zone u.time_zone)::date
                and (m.ends_on is null or m.ends_on >= (moment at time zone u.time_zone)::date)
        ),
        array(
            select c.id from clients own
            join clients c on c.id = own.id or c.household_id = own.household_id
            where u.role = 'CLIENT' and own.id = u.client_id
        )
    from sessions s join users u on u.id = s.user_id
    where s.id = session and s.revoked_at is null and s.expires_at > moment and u.status = 'ACTIVE'
$$;

-- What is kept for a time only: the event log for 30 days, idempotency keys for 7, refresh tokens a day past their end.
create function forget_expired(moment timestamptz) returns void
    language sql security definer set search_path = public, pg_temp as $$
    delete from events where occurred_at < moment - interval '30 days';
    delete from receipts where created_at < moment - interval '7 days';
    delete from refresh_tokens where expires_at < moment - interval '1 day';
$$;
revoke execute on function session_stands(uuid), viewer_of(uuid, timestamptz), forget_expired(timestamptz) from public;

-- What the server may do at all, before the policies say on which rows.
grant execute on function session_stands(uuid), viewer_of(uuid, timestamptz), forget_expired(timestamptz)
    to steward_app;
grant usage on sequence account_numbers to steward_app;
grant select on all tables in schema public to steward_app;
grant insert on
    audit_events, books, cash_balances, client_parties, client_profiles, client_tax_ids, client_words, clients,
    credentials, event_streams, events, households, lots, memberships, notifications, person_keys, portfolio_targets,
    portfolios, positions, receipts, refresh_tokens, sessions, transactions, users
    to steward_app;
grant update on
    books, cash_balances, client_parties, client_profiles, client_tax_ids, clients, credentials, event_streams,
    households, memberships, notifications, portfolio_targets, portfolios, positions, refresh_tokens, sessions, users
    to steward_app;
grant delete on client_parties, client_profiles, client_tax_ids, client_words, clients, lots, portfolio_targets
    to steward_app;

-- Whose rows: generated from the scope that each table declares in persistence/, and held equal to it by the tests.
alter table audit_events enable row level security;
create policy audit_events_see on audit_events for select using (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy audit_events_add on audit_events for insert with check (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy audit_events_change on audit_events for update using (coalesce(current_setting('steward.everything', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy audit_events_remove on audit_events for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));

alter table event_streams enable row level security;
create policy event_streams_see on event_streams for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy event_streams_add on event_streams for insert with check (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy event_streams_change on event_streams for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy event_streams_remove on event_streams for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on'));

alter table events enable row level security;
create policy events_see on events for select using (stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text);
create policy events_add on events for insert with check (coalesce(current_setting('steward.user', true), '') <> '');
create policy events_change on events for update using (stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text) with check (false);
create policy events_remove on events for delete using ((stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text) and (false));

alter table fx_rates enable row level security;
create policy fx_rates_see on fx_rates for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy fx_rates_add on fx_rates for insert with check (false);
create policy fx_rates_change on fx_rates for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (false);
create policy fx_rates_remove on fx_rates for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (false));

alter table instruments enable row level security;
create policy instruments_see on instruments for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy instruments_add on instruments for insert with check (false);
create policy instruments_change on instruments for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (false);
create policy instruments_remove on instruments for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (false));

alter table person_keys enable row level security;
create policy person_keys_see on person_keys for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy person_keys_add on person_keys for insert with check (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy person_keys_change on person_keys for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy person_keys_remove on person_keys for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on'));

alter table receipts enable row level security;
create policy receipts_see on receipts for select using (user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy receipts_add on receipts for insert with check (user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy receipts_change on receipts for update using (user_id = nullif(current_setting('steward.user', true), '')::uuid) with check (user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy receipts_remove on receipts for delete using ((user_id = nullif(current_setting('steward.user', true), '')::uuid) and (user_id = nullif(current_setting('steward.user', true), '')::uuid));

alter table units enable row level security;
create policy units_see on units for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy units_add on units for insert with check (false);
create policy units_change on units for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (false);
create policy units_remove on units for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (false));

alter table prices enable row level security;
create policy prices_see on prices for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy prices_add on prices for insert with check (false);
create policy prices_change on prices for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (false);
create policy prices_remove on prices for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (false));

alter table teams enable row level security;
create policy teams_see on teams for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy teams_add on teams for insert with check (false);
create policy teams_change on teams for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (false);
create policy teams_remove on teams for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (false));

alter table books enable row level security;
create policy books_see on books for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])));
create policy books_add on books for insert with check (coalesce(current_setting('steward.user', true), '') <> '');
create policy books_change on books for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])));
create policy books_remove on books for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[]))));

alter table users enable row level security;
create policy users_see on users for select using (coalesce(current_setting('steward.identity', true), '') = 'on' or id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.user', true), '') <> '' and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}') and (client_id is null or exists (select from clients where clients.id = users.client_id)));
create policy users_add on users for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy users_change on users for update using (coalesce(current_setting('steward.identity', true), '') = 'on' or id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.user', true), '') <> '' and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}') and (client_id is null or exists (select from clients where clients.id = users.client_id))) with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy users_remove on users for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on' or id = nullif(current_setting('steward.user', true), '')::uuid or coalesce(current_setting('steward.user', true), '') <> '' and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}') and (client_id is null or exists (select from clients where clients.id = users.client_id))) and (coalesce(current_setting('steward.identity', true), '') = 'on'));

alter table credentials enable row level security;
create policy credentials_see on credentials for select using (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy credentials_add on credentials for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy credentials_change on credentials for update using (coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy credentials_remove on credentials for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.identity', true), '') = 'on'));

alter table households enable row level security;
create policy households_see on households for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select household_id from clients where id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))));
create policy households_add on households for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])));
create policy households_change on households for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select household_id from clients where id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])));
create policy households_remove on households for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select household_id from clients where id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[]))));

alter table memberships enable row level security;
create policy memberships_see on memberships for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])));
create policy memberships_add on memberships for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])));
create policy memberships_change on memberships for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])));
create policy memberships_remove on memberships for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[]))));

alter table notifications enable row level security;
create policy notifications_see on notifications for select using (user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy notifications_add on notifications for insert with check (coalesce(current_setting('steward.user', true), '') <> '');
create policy notifications_change on notifications for update using (user_id = nullif(current_setting('steward.user', true), '')::uuid) with check (user_id = nullif(current_setting('steward.user', true), '')::uuid);
create policy notifications_remove on notifications for delete using ((user_id = nullif(current_setting('steward.user', true), '')::uuid) and (user_id = nullif(current_setting('steward.user', true), '')::uuid));

alter table sessions enable row level security;
create policy sessions_see on sessions for select using (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sessions_add on sessions for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sessions_change on sessions for update using (coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy sessions_remove on sessions for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.identity', true), '') = 'on'));

alter table clients enable row level security;
create policy clients_see on clients for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy clients_add on clients for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy clients_change on clients for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy clients_remove on clients for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))));

alter table refresh_tokens enable row level security;
create policy refresh_tokens_see on refresh_tokens for select using (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy refresh_tokens_add on refresh_tokens for insert with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy refresh_tokens_change on refresh_tokens for update using (coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.identity', true), '') = 'on');
create policy refresh_tokens_remove on refresh_tokens for delete using ((coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.identity', true), '') = 'on'));

alter table client_parties enable row level security;
create policy client_parties_see on client_parties for select using (exists (select from clients where clients.id = client_parties.client_id));
create policy client_parties_add on client_parties for insert with check (exists (select from clients where clients.id = client_parties.client_id));
create policy client_parties_change on client_parties for update using (exists (select from clients where clients.id = client_parties.client_id)) with check (exists (select from clients where clients.id = client_parties.client_id));
create policy client_parties_remove on client_parties for delete using ((exists (select from clients where clients.id = client_parties.client_id)) and (exists (select from clients where clients.id = client_parties.client_id)));

alter table client_profiles enable row level security;
create policy client_profiles_see on client_profiles for select using (exists (select from clients where clients.id = client_profiles.id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy client_profiles_add on client_profiles for insert with check (exists (select from clients where clients.id = client_profiles.id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy client_profiles_change on client_profiles for update using (exists (select from clients where clients.id = client_profiles.id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')) with check (exists (select from clients where clients.id = client_profiles.id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy client_profiles_remove on client_profiles for delete using ((exists (select from clients where clients.id = client_profiles.id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')) and (exists (select from clients where clients.id = client_profiles.id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')));

alter table client_tax_ids enable row level security;
create policy client_tax_ids_see on client_tax_ids for select using (exists (select from clients where clients.id = client_tax_ids.id));
create policy client_tax_ids_add on client_tax_ids for insert with check (exists (select from clients where clients.id = client_tax_ids.id));
create policy client_tax_ids_change on client_tax_ids for update using (exists (select from clients where clients.id = client_tax_ids.id)) with check (exists (select from clients where clients.id = client_tax_ids.id));
create policy client_tax_ids_remove on client_tax_ids for delete using ((exists (select from clients where clients.id = client_tax_ids.id)) and (exists (select from clients where clients.id = client_tax_ids.id)));

alter table client_words enable row level security;
create policy client_words_see on client_words for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy client_words_add on client_words for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy client_words_change on client_words for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy client_words_remove on client_words for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))));

alter table portfolios enable row level security;
create policy portfolios_see on portfolios for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy portfolios_add on portfolios for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy portfolios_change on portfolios for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy portfolios_remove on portfolios for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))));

alter table cash_balances enable row level security;
create policy cash_balances_see on cash_balances for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy cash_balances_add on cash_balances for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy cash_balances_change on cash_balances for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy cash_balances_remove on cash_balances for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))));

alter table portfolio_targets enable row level security;
create policy portfolio_targets_see on portfolio_targets for select using (exists (select from portfolios where portfolios.id = portfolio_targets.portfolio_id));
create policy portfolio_targets_add on portfolio_targets for insert with check (exists (select from portfolios where portfolios.id = portfolio_targets.portfolio_id));
create policy portfolio_targets_change on portfolio_targets for update using (exists (select from portfolios where portfolios.id = portfolio_targets.portfolio_id)) with check (exists (select from portfolios where portfolios.id = portfolio_targets.portfolio_id));
create policy portfolio_targets_remove on portfolio_targets for delete using ((exists (select from portfolios where portfolios.id = portfolio_targets.portfolio_id)) and (exists (select from portfolios where portfolios.id = portfolio_targets.portfolio_id)));

alter table positions enable row level security;
create policy positions_see on positions for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy positions_add on positions for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy positions_change on positions for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy positions_remove on positions for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))));

alter table transactions enable row level security;
create policy transactions_see on transactions for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy transactions_add on transactions for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy transactions_change on transactions for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])));
create policy transactions_remove on transactions for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))) and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[]))));

alter table lots enable row level security;
create policy lots_see on lots for select using (exists (select from positions where positions.id = lots.position_id));
create policy lots_add on lots for insert with check (exists (select from positions where positions.id = lots.position_id));
create policy lots_change on lots for update using (exists (select from positions where positions.id = lots.position_id)) with check (exists (select from positions where positions.id = lots.position_id));
create policy lots_remove on lots for delete using ((exists (select from positions where positions.id = lots.position_id)) and (exists (select from positions where positions.id = lots.position_id)));

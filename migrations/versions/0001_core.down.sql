drop function session_stands(uuid), viewer_of(uuid, timestamptz), forget_expired(timestamptz);
drop table
    audit_events,
    books,
    cash_balances,
    client_parties,
    client_profiles,
    client_tax_ids,
    client_words,
    clients,
    credentials,
    event_streams,
    events,
    fx_rates,
    households,
    instruments,
    lots,
    memberships,
    notifications,
    person_keys,
    portfolio_targets,
    portfolios,
    positions,
    prices,
    receipts,
    refresh_tokens,
    sessions,
    teams,
    transactions,
    units,
    users
    cascade;
drop function keep_ledger(), keep_trail();
drop sequence account_numbers;

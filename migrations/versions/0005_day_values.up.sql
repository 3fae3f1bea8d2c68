-- The stored values of days behind the value series, and who was told that a client's KYC ends.

CREATE TABLE day_values (
    portfolio_id UUID NOT NULL,
    day DATE NOT NULL,
    value NUMERIC,
    CONSTRAINT day_values_pkey PRIMARY KEY (portfolio_id, day),
    CONSTRAINT day_values_portfolio_id_fkey FOREIGN KEY(portfolio_id) REFERENCES portfolios (id)
);
CREATE INDEX day_values_day_idx ON day_values (day);

CREATE TABLE kyc_reminders (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    expires_on DATE NOT NULL,
    told_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT kyc_reminders_pkey PRIMARY KEY (id),
    CONSTRAINT kyc_reminders_client_id_key UNIQUE (client_id, expires_on),
    CONSTRAINT kyc_reminders_client_id_fkey FOREIGN KEY(client_id) REFERENCES clients (id) ON DELETE CASCADE
);

-- What the server may do at all, before the policies say on which rows: neither table takes a change of a row.
grant select, insert, delete on day_values to steward_app;
grant select, insert on kyc_reminders to steward_app;

-- Whose rows: generated from the scope that each table declares in persistence/, and held equal to it by the tests.
alter table day_values enable row level security;
create policy day_values_see on day_values for select using (exists (select from portfolios where portfolios.id = day_values.portfolio_id));
create policy day_values_add on day_values for insert with check (exists (select from portfolios where portfolios.id = day_values.portfolio_id));
create policy day_values_change on day_values for update using (exists (select from portfolios where portfolios.id = day_values.portfolio_id)) with check (exists (select from portfolios where portfolios.id = day_values.portfolio_id));
create policy day_values_remove on day_values for delete using ((exists (select from portfolios where portfolios.id = day_values.portfolio_id)) and (exists (select from portfolios where portfolios.id = day_values.portfolio_id)));

alter table kyc_reminders enable row level security;
create policy kyc_reminders_see on kyc_reminders for select using (exists (select from clients where clients.id = kyc_reminders.client_id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy kyc_reminders_add on kyc_reminders for insert with check (exists (select from clients where clients.id = kyc_reminders.client_id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy kyc_reminders_change on kyc_reminders for update using (exists (select from clients where clients.id = kyc_reminders.client_id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')) with check (exists (select from clients where clients.id = kyc_reminders.client_id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}'));
create policy kyc_reminders_remove on kyc_reminders for delete using ((exists (select from clients where clients.id = kyc_reminders.client_id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')) and (exists (select from clients where clients.id = kyc_reminders.client_id) and not coalesce(current_setting('steward.clients', true), '') not in ('', '{}')));

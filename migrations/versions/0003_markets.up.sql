-- Market calendars: the special days that the exchanges announce, and the right to add what the market data gateway
-- reports. Revisions hold no rows but these: they are facts of the exchanges, as the library of their rules is.

CREATE TABLE market_days (
    id UUID NOT NULL,
    exchange TEXT NOT NULL,
    day DATE NOT NULL,
    opens_at TIMESTAMP WITH TIME ZONE,
    closes_at TIMESTAMP WITH TIME ZONE,
    note TEXT NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT market_days_pkey PRIMARY KEY (id),
    CONSTRAINT market_days_exchange_key UNIQUE (exchange, day),
    CONSTRAINT market_days_hours_check CHECK ((opens_at is null) = (closes_at is null) and closes_at > opens_at)
);

alter table market_days enable row level security;
create policy market_days_see on market_days for select using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on');
create policy market_days_add on market_days for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy market_days_change on market_days for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy market_days_remove on market_days for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));

grant select, insert, update, delete on market_days to steward_app;

-- Sessions of the Indian exchanges on days that are none by their rules; the hours are in UTC.
insert into market_days (id, exchange, day, opens_at, closes_at, note, version) values
    ('4d73e74a-c26f-5237-9323-b734e8e3c301', 'XNSE', '2021-11-04', '2021-11-04 12:45+00', '2021-11-04 13:45+00', 'Muhurat trading', 1),
    ('62fd57bf-878c-533b-a986-d94201b3d38c', 'XNSE', '2022-10-24', '2022-10-24 12:45+00', '2022-10-24 13:45+00', 'Muhurat trading', 1),
    ('447f093d-c029-5592-a1c0-ccf2d93ea856', 'XNSE', '2023-11-12', '2023-11-12 12:45+00', '2023-11-12 13:45+00', 'Muhurat trading', 1),
    ('d0251692-d049-5a61-a83d-95e819cbaac2', 'XNSE', '2024-01-20', '2024-01-20 03:45+00', '2024-01-20 10:00+00', 'Trading in place of the Monday that follows', 1),
    ('ac5156b9-ad48-5d21-85df-868e949f7039', 'XNSE', '2024-03-02', '2024-03-02 03:45+00', '2024-03-02 07:00+00', 'Test of the disaster recovery site, with a break from 10:00 to 11:30', 1),
    ('b541aa0c-f816-5ff7-b256-97da8f94e900', 'XNSE', '2024-05-18', '2024-05-18 03:45+00', '2024-05-18 07:00+00', 'Test of the disaster recovery site, with a break from 10:00 to 11:30', 1),
    ('3a7d8610-4f31-5397-9ec1-4f0a51448ce2', 'XNSE', '2024-11-01', '2024-11-01 12:30+00', '2024-11-01 13:30+00', 'Muhurat trading', 1),
    ('a8a1bd60-4a2f-52a9-a90a-29e635a82891', 'XNSE', '2025-02-01', '2025-02-01 03:45+00', '2025-02-01 10:00+00', 'Union Budget', 1),
    ('18d8861b-c9d2-505d-bf44-7e90df5a98c7', 'XNSE', '2025-10-21', '2025-10-21 08:15+00', '2025-10-21 09:15+00', 'Muhurat trading', 1),
    ('31abb789-c98e-58ab-b0ac-de563befc1e1', 'XNSE', '2026-02-01', '2026-02-01 03:45+00', '2026-02-01 10:00+00', 'Union Budget', 1),
    ('bb89374f-b57b-5099-a6b1-892f975265cf', 'XNSE', '2026-11-08', '2026-11-08 12:30+00', '2026-11-08 13:30+00', 'Muhurat trading, at the hours of earlier evenings', 1),
    ('5caa46a6-304b-5fa2-a745-11c1f7ae946c', 'XBOM', '2021-11-04', '2021-11-04 12:45+00', '2021-11-04 13:45+00', 'Muhurat trading', 1),
    ('08c46ebe-10b7-574f-b9f9-6ce3b48677ca', 'XBOM', '2022-10-24', '2022-10-24 12:45+00', '2022-10-24 13:45+00', 'Muhurat trading', 1),
    ('a773ed96-c2d2-502e-899d-c5b702c0140f', 'XBOM', '2023-11-12', '2023-11-12 12:45+00', '2023-11-12 13:45+00', 'Muhurat trading', 1),
    ('0c031b05-f1d5-571c-9bbf-905b51a3e60e', 'XBOM', '2024-01-20', '2024-01-20 03:45+00', '2024-01-20 10:00+00', 'Trading in place of the Monday that follows', 1),
    ('b0668146-6feb-5531-94e5-817059af979c', 'XBOM', '2024-03-02', '2024-03-02 03:45+00', '2024-03-02 07:00+00', 'Test of the disaster recovery site, with a break from 10:00 to 11:30', 1),
    ('ddb1ab2e-eef0-56fb-8060-3b1ac8cbebbd', 'XBOM', '2024-05-18', '2024-05-18 03:45+00', '2024-05-18 07:00+00', 'Test of the disaster recovery site, with a break from 10:00 to 11:30', 1),
    ('be6dd809-8372-515f-bf12-ed307f1d703e', 'XBOM', '2024-11-01', '2024-11-01 12:30+00', '2024-11-01 13:30+00', 'Muhurat trading', 1),
    ('47af0776-eafc-5212-8eab-a129828a25ec', 'XBOM', '2025-02-01', '2025-02-01 03:45+00', '2025-02-01 10:00+00', 'Union Budget', 1),
    ('08b2f69e-a723-5869-ac44-f31ca1ee9cb0', 'XBOM', '2025-10-21', '2025-10-21 08:15+00', '2025-10-21 09:15+00', 'Muhurat trading', 1),
    ('1c9d5b0e-6245-5906-8383-e8239454e0c9', 'XBOM', '2026-02-01', '2026-02-01 03:45+00', '2026-02-01 10:00+00', 'Union Budget', 1),
    ('ec5e9270-f39f-589b-a87c-25e9203ca051', 'XBOM', '2026-11-08', '2026-11-08 12:30+00', '2026-11-08 13:30+00', 'Muhurat trading, at the hours of earlier evenings', 1);

-- Prices and rates were put in by the owner of the tables alone; now the gateway adds them for the firm itself.
drop policy fx_rates_add on fx_rates;
drop policy fx_rates_change on fx_rates;
drop policy fx_rates_remove on fx_rates;
create policy fx_rates_add on fx_rates for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy fx_rates_change on fx_rates for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy fx_rates_remove on fx_rates for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));
drop policy prices_add on prices;
drop policy prices_change on prices;
drop policy prices_remove on prices;
create policy prices_add on prices for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy prices_change on prices for update using (coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy prices_remove on prices for delete using ((coalesce(current_setting('steward.user', true), '') <> '' or coalesce(current_setting('steward.identity', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));
grant insert on fx_rates, prices to steward_app;

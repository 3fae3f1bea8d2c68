-- Orders, their fills, the paper broker's own book, and what an order must know of an instrument.

alter table instruments add column kind text, add column tick_size numeric(24, 10), add column risk text;
-- What a firm holds already: funds by the issuer codes of India's fund houses, by their names and by what only funds
-- hold on an exchange, all else as shares.
update instruments set
    kind = case when isin like 'INF%' or name like '%ETF%' or name like '%ETC%' or sector like '%Funds'
            or asset_class in ('GOLD', 'DEBT', 'COMMODITY', 'CASH') then 'ETF' else 'SHARE' end,
    tick_size = case when exchange = 'XNSE' then 0.05 else 0.01 end,
    risk = case
        when asset_class in ('CASH', 'DEBT') then 'LOW'
        when asset_class in ('GOLD', 'REAL_ESTATE') then 'MODERATE'
        when asset_class = 'EQUITY' then 'HIGH'
        else 'VERY_HIGH'
    end;
alter table instruments
    alter column kind set not null,
    alter column tick_size set not null,
    alter column risk set not null,
    add constraint instruments_kind_check check (kind IN ('SHARE', 'ETF', 'FUND', 'BOND')),
    add constraint instruments_risk_check check (risk IN ('LOW', 'MODERATE', 'HIGH', 'VERY_HIGH'));

alter table notifications add column order_id uuid;
alter table notifications drop constraint notifications_kind_check;
alter table notifications add constraint notifications_kind_check
    check (kind IN ('CLIENT_ARRIVED', 'CLIENT_LEFT', 'KYC_CHANGED', 'KYC_EXPIRING', 'LARGE_DEPOSIT', 'LARGE_WITHDRAWAL', 'ENTRY_REVERSED', 'ORDER_FILLED', 'ORDER_PARTLY_FILLED', 'ORDER_REJECTED', 'ORDER_EXPIRED', 'ORDER_CANCELLED', 'ORDER_UNCERTAIN', 'APPROVAL_WANTED', 'ORDER_APPROVED'));

CREATE TABLE orders (
    id UUID NOT NULL,
    portfolio_id UUID NOT NULL,
    client_id UUID NOT NULL,
    book_id UUID NOT NULL,
    instrument_id UUID NOT NULL,
    side TEXT NOT NULL,
    kind TEXT NOT NULL,
    time_in_force TEXT NOT NULL,
    quantity NUMERIC(24, 10),
    amount NUMERIC(20, 4),
    limit_price NUMERIC(24, 10),
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    notional NUMERIC(20, 4) NOT NULL,
    filled_quantity NUMERIC(24, 10) NOT NULL,
    filled_value NUMERIC(20, 4) NOT NULL,
    reserved_cash NUMERIC(20, 4) NOT NULL,
    reserved_quantity NUMERIC(24, 10) NOT NULL,
    trades_on DATE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    placed_by UUID NOT NULL,
    terms_by UUID NOT NULL,
    placed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    approved_by UUID,
    approved_at TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    checked_at TIMESTAMP WITH TIME ZONE,
    ending TEXT,
    revision INTEGER NOT NULL,
    sent_revision INTEGER NOT NULL,
    attention TEXT,
    reason TEXT,
    version INTEGER NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_side_check CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT orders_kind_check CHECK (kind IN ('MARKET', 'LIMIT')),
    CONSTRAINT orders_time_in_force_check CHECK (time_in_force IN ('DAY', 'GTC')),
    CONSTRAINT orders_status_check CHECK (status IN ('DRAFT', 'PENDING_APPROVAL', 'SUBMITTED', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED')),
    CONSTRAINT orders_ending_check CHECK (ending IN ('DRAFT', 'PENDING_APPROVAL', 'SUBMITTED', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED')),
    CONSTRAINT orders_attention_check CHECK (attention IN ('NO_ANSWER', 'MISMATCH')),
    CONSTRAINT orders_client_id_fkey FOREIGN KEY(client_id, book_id) REFERENCES clients (id, book_id) ON UPDATE CASCADE,
    CONSTRAINT orders_portfolio_id_fkey FOREIGN KEY(portfolio_id, client_id) REFERENCES portfolios (id, client_id),
    CONSTRAINT orders_quantity_check CHECK (quantity > 0),
    CONSTRAINT orders_amount_check CHECK (amount > 0),
    CONSTRAINT orders_size_check CHECK (quantity is not null or amount is not null),
    CONSTRAINT orders_limit_price_check CHECK ((kind = 'LIMIT') = (limit_price is not null)),
    CONSTRAINT orders_approval_check CHECK (approved_by <> placed_by and approved_by <> terms_by),
    CONSTRAINT orders_reservation_check CHECK ((reserved_cash = 0 and reserved_quantity = 0) or status in ('PARTIALLY_FILLED', 'PENDING_APPROVAL', 'SUBMITTED')),
    CONSTRAINT orders_signs_check CHECK (reserved_cash >= 0 and reserved_quantity >= 0 and filled_quantity >= 0),
    CONSTRAINT orders_instrument_id_fkey FOREIGN KEY(instrument_id) REFERENCES instruments (id),
    CONSTRAINT orders_placed_by_fkey FOREIGN KEY(placed_by) REFERENCES users (id),
    CONSTRAINT orders_terms_by_fkey FOREIGN KEY(terms_by) REFERENCES users (id),
    CONSTRAINT orders_approved_by_fkey FOREIGN KEY(approved_by) REFERENCES users (id)
);
CREATE INDEX orders_book_id_placed_at_id_idx ON orders (book_id, placed_at, id);
CREATE INDEX orders_book_id_trades_on_id_idx ON orders (book_id, trades_on, id);
CREATE INDEX orders_checked_idx ON orders (checked_at) WHERE status in ('PARTIALLY_FILLED', 'SUBMITTED');
CREATE INDEX orders_client_id_placed_at_id_idx ON orders (client_id, placed_at, id);
CREATE INDEX orders_expires_idx ON orders (expires_at) WHERE status in ('PARTIALLY_FILLED', 'PENDING_APPROVAL', 'SUBMITTED');
CREATE INDEX orders_instrument_id_placed_at_id_idx ON orders (instrument_id, placed_at, id);
CREATE INDEX orders_open_book_idx ON orders (book_id, placed_at, id) WHERE status in ('PARTIALLY_FILLED', 'PENDING_APPROVAL', 'SUBMITTED');
CREATE INDEX orders_open_portfolio_idx ON orders (portfolio_id) WHERE status in ('PARTIALLY_FILLED', 'PENDING_APPROVAL', 'SUBMITTED');
CREATE INDEX orders_pending_idx ON orders (book_id, placed_at, id) WHERE status = 'PENDING_APPROVAL';
CREATE INDEX orders_placed_at_id_idx ON orders (placed_at, id);
CREATE INDEX orders_placed_by_placed_at_id_idx ON orders (placed_by, placed_at, id);
CREATE INDEX orders_portfolio_id_placed_at_id_idx ON orders (portfolio_id, placed_at, id);
CREATE INDEX orders_trades_on_id_idx ON orders (trades_on, id);
CREATE INDEX orders_uncertain_idx ON orders (book_id, placed_at, id) WHERE attention is not null;

CREATE TABLE order_fills (
    id UUID NOT NULL,
    order_id UUID NOT NULL,
    broker_fill_id TEXT NOT NULL,
    quantity NUMERIC(24, 10) NOT NULL,
    price NUMERIC(24, 10) NOT NULL,
    charges NUMERIC(20, 4) NOT NULL,
    currency TEXT NOT NULL,
    filled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    transaction_id UUID NOT NULL,
    CONSTRAINT order_fills_pkey PRIMARY KEY (id),
    CONSTRAINT order_fills_order_id_key UNIQUE (order_id, broker_fill_id),
    CONSTRAINT order_fills_signs_check CHECK (quantity > 0 and price > 0),
    CONSTRAINT order_fills_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id),
    CONSTRAINT order_fills_transaction_id_key UNIQUE (transaction_id),
    CONSTRAINT order_fills_transaction_id_fkey FOREIGN KEY(transaction_id) REFERENCES transactions (id)
);

CREATE TABLE paper_orders (
    id UUID NOT NULL,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    instrument_id UUID,
    side TEXT,
    quantity NUMERIC(24, 10),
    amount NUMERIC(20, 4),
    most_units NUMERIC(24, 10),
    limit_price NUMERIC(24, 10),
    trades_on DATE,
    reason TEXT,
    version INTEGER NOT NULL,
    CONSTRAINT paper_orders_pkey PRIMARY KEY (id),
    CONSTRAINT paper_orders_status_check CHECK (status IN ('WORKING', 'FILLED', 'CANCELLED', 'REJECTED')),
    CONSTRAINT paper_orders_side_check CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT paper_orders_instrument_id_fkey FOREIGN KEY(instrument_id) REFERENCES instruments (id)
);

CREATE TABLE paper_fills (
    id UUID NOT NULL,
    order_id UUID NOT NULL,
    number INTEGER NOT NULL,
    quantity NUMERIC(24, 10) NOT NULL,
    price NUMERIC(24, 10) NOT NULL,
    traded_on DATE NOT NULL,
    filled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT paper_fills_pkey PRIMARY KEY (id),
    CONSTRAINT paper_fills_order_id_fkey FOREIGN KEY(order_id) REFERENCES paper_orders (id)
);

-- What the server may do at all, before the policies say on which rows.
grant select, insert, update on orders, paper_orders to steward_app;
grant select, insert on order_fills, paper_fills to steward_app;

-- Whose rows: generated from the scope that each table declares in persistence/, and held equal to it by the tests.
-- The log of events has a stream for the orders of each portfolio from here on.
drop policy events_see on events;
drop policy events_add on events;
drop policy events_change on events;
drop policy events_remove on events;
create policy events_see on events for select using (case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end);
create policy events_add on events for insert with check (coalesce(current_setting('steward.user', true), '') <> '');
create policy events_change on events for update using (case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end) with check (false);
create policy events_remove on events for delete using ((case when stream like 'orders:%' then exists (select from portfolios where portfolios.id = substr(stream, 8)::uuid) else stream = 'user:' || (nullif(current_setting('steward.user', true), '')::uuid)::text end) and (false));

alter table orders enable row level security;
create policy orders_see on orders for select using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])) and status <> 'DRAFT');
create policy orders_add on orders for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])) and status <> 'DRAFT');
create policy orders_change on orders for update using (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])) and status <> 'DRAFT') with check (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])) and status <> 'DRAFT');
create policy orders_remove on orders for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])) and status <> 'DRAFT') and (coalesce(current_setting('steward.everything', true), '') = 'on' or book_id in (select unnest(nullif(current_setting('steward.books', true), '')::uuid[])) or client_id in (select unnest(nullif(current_setting('steward.clients', true), '')::uuid[])) and status <> 'DRAFT'));

alter table order_fills enable row level security;
create policy order_fills_see on order_fills for select using (exists (select from orders where orders.id = order_fills.order_id));
create policy order_fills_add on order_fills for insert with check (exists (select from orders where orders.id = order_fills.order_id));
create policy order_fills_change on order_fills for update using (exists (select from orders where orders.id = order_fills.order_id)) with check (exists (select from orders where orders.id = order_fills.order_id));
create policy order_fills_remove on order_fills for delete using ((exists (select from orders where orders.id = order_fills.order_id)) and (exists (select from orders where orders.id = order_fills.order_id)));

alter table paper_orders enable row level security;
create policy paper_orders_see on paper_orders for select using (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy paper_orders_add on paper_orders for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy paper_orders_change on paper_orders for update using (coalesce(current_setting('steward.everything', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy paper_orders_remove on paper_orders for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));

alter table paper_fills enable row level security;
create policy paper_fills_see on paper_fills for select using (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy paper_fills_add on paper_fills for insert with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy paper_fills_change on paper_fills for update using (coalesce(current_setting('steward.everything', true), '') = 'on') with check (coalesce(current_setting('steward.everything', true), '') = 'on');
create policy paper_fills_remove on paper_fills for delete using ((coalesce(current_setting('steward.everything', true), '') = 'on') and (coalesce(current_setting('steward.everything', true), '') = 'on'));

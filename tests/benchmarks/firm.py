"""The firm that is measured on: made in the database by a few statements, beside a demo firm of the smallest size.

The demo gives users, teams, and an exchange with prices; what is counted is generated. It holds together as a real
firm's data do: ledgers fold to positions, lots and cash, and orders that were filled have bought what is held.
"""

import asyncio
import base64
from typing import Final

import asyncpg
import msgspec
from asyncpg import Connection, Record

from domain.demo.groups import SIZE
from persistence.database import OWNER, driver_arguments
from persistence.keyring import KeyRing
from persistence.vault import sealed_keys


class Sizes(msgspec.Struct, frozen=True):
    """How large the firm is, beside the demo's few clients."""

    clients: int = 10_000
    portfolios: int = 2  # a client
    positions: int = 10  # a portfolio
    orders: int = 5  # a portfolio; not more than it has positions
    instruments: int = 2_000
    clients_of_a_book: int = 67

    @property
    def described(self) -> str:
        """How many there are of what is counted."""
        portfolios = self.clients * self.portfolios
        return (
            f"{self.clients:,} clients, {portfolios:,} portfolios, {portfolios * self.positions:,} positions and "
            f"{portfolios * self.orders:,} orders"
        )


# What the statements share is kept here until the end of their transaction.
SCRATCH: Final = """
create temp table made_instruments (n int primary key, id uuid, symbol text, price numeric) on commit drop;
create temp table made_books (n int primary key, id uuid, advisor_id uuid) on commit drop;
create temp table made_clients (n int primary key, id uuid, book_id uuid, advisor_id uuid, name text) on commit drop;
create temp table made_portfolios (
    n int primary key, id uuid, client_id uuid, book_id uuid, advisor_id uuid, opened_on date
) on commit drop;
create temp table made_holdings (
    portfolio int, k int, position_id uuid, transaction_id uuid, order_id uuid, instrument_id uuid, symbol text,
    quantity numeric, price numeric, cost numeric, traded_at timestamptz
) on commit drop;
"""

INSTRUMENTS: Final = """
insert into made_instruments
select n, uuidv7(interval '-3 years'), 'STW' || lpad(n::text, 5, '0'), 50 + n % 400 * 5
from generate_series(1, $1::int) n
"""
STORED_INSTRUMENTS: Final = """
insert into instruments (
    id, symbol, isin, name, sort_name, asset_class, sector, exchange, currency, lot_size, status, kind, tick_size, risk
)
select id, symbol, 'INE9' || lpad(n::text, 8, '0'), 'Steward Industries ' || n || ' Ltd.',
    'steward industries ' || n || ' ltd.', 'EQUITY', 'Industrials', 'XNSE', 'INR', 1, 'ACTIVE', 'SHARE', 0.05, 'HIGH'
from made_instruments
"""
# The day of the demo's last prices, as of which all of the firm is valued.
PRICES: Final = """
insert into prices (instrument_id, priced_on, close)
select made.id, (select max(priced_on) from prices), made.price from made_instruments made
"""

# Further books of the demo's advisors, for none of them could look after thousands of clients in one.
BOOKS: Final = """
with desks as (
    select b.team_id, b.unit_id, b.name, b.sort_name, b.opened_on, m.user_id,
        row_number() over (order by b.sort_name) as desk, count(*) over () as desks
    from books b join memberships m on m.book_id = b.id and m.kind = 'ADVISOR'
),
wanted as (
    select n, uuidv7() as id, desks.*, (n - 1) / desks + 2 as round
    from generate_series(1, $1::int) n join desks on desk = 1 + (n - 1) % desks
),
stored as (
    insert into books (id, team_id, unit_id, name, sort_name, opened_on, version)
    select id, team_id, unit_id, name || ' ' || round, sort_name || ' ' || round, opened_on, 1 from wanted
)
insert into made_books select n, id, user_id from wanted
"""
MEMBERSHIPS: Final = """
insert into memberships (id, book_id, user_id, kind, starts_on, ends_on, version)
select uuidv7(), made.id, made.advisor_id, 'ADVISOR', b.opened_on, null, 1
from made_books made join books b on b.id = made.id
"""

# 7919 shares no divisor with 40 * 26 * 25, so that as many names are told apart before the first comes again.
CLIENTS: Final = """
insert into made_clients
select numbers.n, uuidv7(interval '-2 years'), b.id, b.advisor_id,
    (array[
        'Aarav', 'Aditi', 'Akash', 'Ananya', 'Arjun', 'Bhavna', 'Chetan', 'Deepa', 'Dev', 'Divya', 'Esha', 'Farhan',
        'Gauri', 'Harsh', 'Isha', 'Jatin', 'Kavya', 'Kiran', 'Lakshmi', 'Manish', 'Meera', 'Mohan', 'Naina', 'Neeraj',
        'Nikhil', 'Pallavi', 'Pranav', 'Priya', 'Rahul', 'Rani', 'Ritu', 'Rohit', 'Sanjay', 'Shreya', 'Sunil', 'Tara',
        'Uday', 'Varun', 'Vidya', 'Yash'
    ])[1 + m % 40] || ' ' || chr(65 + m / 40 % 26) || '. ' || (array[
        'Agarwal', 'Bose', 'Chopra', 'Desai', 'Dutta', 'Gandhi', 'Ghosh', 'Gupta', 'Iyer', 'Jain', 'Joshi', 'Kapoor',
        'Khan', 'Kulkarni', 'Kumar', 'Malhotra', 'Mehta', 'Menon', 'Nair', 'Patel', 'Rao', 'Reddy', 'Shah', 'Sharma',
        'Singh'
    ])[1 + m / 1040 % 25]
from (select n, (n * 7919::bigint % 26000)::int as m from generate_series(1, $1::int) n) numbers
join made_books b on b.n = 1 + (numbers.n - 1) % (select count(*) from made_books)
"""
STORED_CLIENTS: Final = """
insert into clients (
    id, book_id, household_id, kind, name, sort_name, email, phone, date_of_birth, segment, status, risk_profile,
    kyc_status, kyc_expires_on, currency, tags, created_at, updated_at, version
)
select id, book_id, null, 'INDIVIDUAL', name, lower(name), 'client' || n || '@mail.example',
    '+9155' || lpad(n::text, 8, '0'), date '1950-01-01' + n % 18000,
    (array['RETAIL', 'AFFLUENT', 'HNI', 'UHNI'])[1 + n % 4], 'ACTIVE', 'AGGRESSIVE', 'VERIFIED',
    current_date + 365 + n % 365, 'INR', '{}', now() - interval '2 years' + n * interval '1 minute',
    now() - interval '1 year' + n * interval '1 minute', 1
from made_clients
"""
PROFILES: Final = """
insert into client_profiles (id, notes, channel, language, do_not_disturb)
select id, '', 'EMAIL', 'en', false from made_clients
"""
WORDS: Final = """
insert into client_words (client_id, book_id, word)
select distinct id, book_id, word from made_clients, regexp_split_to_table(lower(name), '[^a-z]+') word
"""

PORTFOLIOS: Final = """
insert into made_portfolios
select (c.n - 1) * $1::int + k, uuidv7(interval '-2 years'), c.id, c.book_id, c.advisor_id,
    current_date - 700 + (c.n + k) % 30
from made_clients c, generate_series(1, $1::int) k
"""
STORED_PORTFOLIOS: Final = """
insert into portfolios (
    id, client_id, book_id, name, sort_name, account_number, base_currency, benchmark, opened_on, status, version
)
select id, client_id, book_id, (array['Core Portfolio', 'Growth Portfolio', 'Income Portfolio'])[1 + n % 3],
    (array['core portfolio', 'growth portfolio', 'income portfolio'])[1 + n % 3],
    'ACC-' || nextval('account_numbers'), 'INR', 'NIFTY 50', opened_on, 'OPEN', 1
from made_portfolios order by n
"""

# Holding k of a portfolio was bought by its order k, as far as it has as many orders; these are spread over sixteen
# months, the last of them some minutes ago. 197 shares no divisor with the number of instruments, so that a portfolio
# holds none twice.
HOLDINGS: Final = """
insert into made_holdings
select p.n, k, uuidv7(), uuidv7(moment - now()), uuidv7(moment - now()), i.id, i.symbol, quantity, i.price,
    quantity * i.price, moment
from made_portfolios p
cross join generate_series(1, $1::int) k
cross join (select count(*) from made_portfolios) made (portfolios)
cross join lateral (select case
    when k <= $2::int then
        now() - (made.portfolios * ($2::int - k + 1) - p.n + 1) * (interval '480 days' / (made.portfolios * $2::int))
    else p.opened_on + interval '5 hours'
end) at (moment)
cross join lateral (select 10 + (p.n * 7 + k * 13) % 190) bought (quantity)
join made_instruments i on i.n = 1 + (p.n::bigint * 31 + k * 197) % (select count(*) from made_instruments)
"""
# The portfolio's last order was cancelled, and its place among the holdings was bought without one.
ORDERS: Final = """
insert into orders (
    id, portfolio_id, client_id, book_id, instrument_id, side, kind, time_in_force, quantity, amount, limit_price,
    currency, status, notional, filled_quantity, filled_value, reserved_cash, reserved_quantity, trades_on, expires_at,
    placed_by, terms_by, placed_at, approved_by, approved_at, closed_at, checked_at, ending, revision, sent_revision,
    attention, reason, version
)
select h.order_id, p.id, p.client_id, p.book_id, h.instrument_id, 'BUY', 'LIMIT', 'DAY', h.quantity, null, h.price,
    'INR', case when filled then 'FILLED' else 'CANCELLED' end, h.cost, case when filled then h.quantity else 0 end,
    case when filled then h.cost else 0 end, 0, 0, h.traded_at::date, h.traded_at + interval '6 hours', p.advisor_id,
    p.advisor_id, h.traded_at - interval '3 minutes', null, null, h.traded_at, h.traded_at, null, 1, 1, null, null, 3
from made_holdings h join made_portfolios p on p.n = h.portfolio, lateral (select h.k < $1::int) is_ (filled)
where h.k <= $1::int
"""
DEPOSITS: Final = """
insert into transactions (
    id, portfolio_id, client_id, book_id, kind, amount, currency, brokerage, transaction_tax, stamp_duty, other_charges,
    traded_on, settles_on, recorded_at, recorded_by
)
select uuidv7(interval '-2 years'), id, client_id, book_id, 'DEPOSIT', $1::numeric, 'INR', 0, 0, 0, 0, opened_on,
    opened_on, opened_on + interval '4 hours', advisor_id
from made_portfolios
"""
PURCHASES: Final = """
insert into transactions (
    id, portfolio_id, client_id, book_id, kind, instrument_id, quantity, price, amount, currency, brokerage,
    transaction_tax, stamp_duty, other_charges, traded_on, settles_on, recorded_at, recorded_by
)
select h.transaction_id, p.id, p.client_id, p.book_id, 'BUY', h.instrument_id, h.quantity, h.price, -h.cost, 'INR',
    0, 0, 0, 0, h.traded_at::date, h.traded_at::date + 2, h.traded_at, p.advisor_id
from made_holdings h join made_portfolios p on p.n = h.portfolio
"""
FILLS: Final = """
insert into order_fills (
    id, order_id, broker_fill_id, quantity, price, charges, currency, filled_at, transaction_id
)
select uuidv7(), order_id, 'MADE-' || order_id, quantity, price, 0, 'INR', traded_at, transaction_id
from made_holdings where k < $1::int
"""
POSITIONS: Final = """
insert into positions (
    id, portfolio_id, client_id, book_id, instrument_id, symbol, quantity, total_cost, realised_gain, dividends,
    currency, version
)
select h.position_id, p.id, p.client_id, p.book_id, h.instrument_id, h.symbol, h.quantity, h.cost, 0, 0, 'INR', 1
from made_holdings h join made_portfolios p on p.n = h.portfolio
"""
LOTS: Final = """
insert into lots (id, position_id, ordinal, opened_on, quantity, cost, currency)
select uuidv7(), position_id, 0, traded_at::date, quantity, cost, 'INR' from made_holdings
"""
CASH: Final = """
insert into cash_balances (id, portfolio_id, client_id, book_id, currency, amount, version)
select uuidv7(), p.id, p.client_id, p.book_id, 'INR', $1::numeric - sum(h.cost), 1
from made_portfolios p join made_holdings h on h.portfolio = p.n
group by p.id, p.client_id, p.book_id
"""
# More than any ten holdings cost, so that orders can be placed for every portfolio.
DEPOSIT: Final = 10_000_000


# The least that there is.
DEMO_CLIENTS: Final = SIZE


def run(url: str, sizes: Sizes, field_key: str) -> None:
    """As `make`, from outside of any loop; the key as the settings have it."""
    asyncio.run(make(url, sizes, base64.urlsafe_b64decode(field_key)))


async def make(url: str, sizes: Sizes, field_key: bytes) -> None:
    """Add a firm of these sizes to a demo firm, all of it or nothing, and let PostgreSQL know how much there is."""
    connection = await asyncpg.connect(**driver_arguments(url))
    try:
        async with connection.transaction():
            await connection.execute(f"set local role {OWNER}")
            await _fill(connection, sizes, field_key)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


async def _fill(connection: "Connection[Record]", sizes: Sizes, field_key: bytes) -> None:
    await connection.execute(SCRATCH)
    for statement, *values in (
        (INSTRUMENTS, sizes.instruments),
        (STORED_INSTRUMENTS,),
        (PRICES,),
        (BOOKS, -(-sizes.clients // sizes.clients_of_a_book)),
        (MEMBERSHIPS,),
        (CLIENTS, sizes.clients),
        (STORED_CLIENTS,),
        (PROFILES,),
        (WORDS,),
        (PORTFOLIOS, sizes.portfolios),
        (STORED_PORTFOLIOS,),
        (HOLDINGS, sizes.positions, sizes.orders),
        (ORDERS, sizes.orders),
        (DEPOSITS, DEPOSIT),
        (PURCHASES,),
        (FILLS, sizes.orders),
        (POSITIONS,),
        (LOTS,),
        (CASH, DEPOSIT),
    ):
        await connection.execute(str(statement), *values)
    await _keep_keys(connection, field_key)


async def _keep_keys(connection: "Connection[Record]", field_key: bytes) -> None:
    """A key for each client, which the audit trail encrypts personal fields with."""
    ids = [row[0] for row in await connection.fetch("select id from made_clients")]
    ring = KeyRing(field_key)
    rows = [(person_id, sealed, ring.newest) for person_id, (_, sealed) in sealed_keys(ring, ids).items()]
    columns = ("person_id", "sealed_key", "key_id")
    await connection.copy_records_to_table("person_keys", columns=columns, records=rows)

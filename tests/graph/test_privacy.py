"""Personal data that is shown for a reason, and destroyed: afterwards it stands nowhere, and the trail still holds."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import pytest

from domain.access import Role
from domain.clients import ClientStatus
from domain.identity import UserStatus
from domain.office import RUNS
from domain.portfolios import Portfolio
from graph.context import Services
from graph.ids import id_of
from persistence.audit import seal
from persistence.tables import metadata
from tests.factories import ledger, trading
from tests.factories.firm import Make, SignedIn
from tests.support.audit import findings, verified
from tests.support.gql import Gql
from tests.support.talking import say
from tests.support.worker import drained

REASON: Final = "Its time is over by law."
# No word of the firm's own, in none of its tables.
WORDS: Final = (
    "Quixandra",
    "Vexmoor",
    "quixandra",
    "vexmoor",
    "9845012345",
    "1971-03-09",
    "QXVMR1234Z",
    "234Z",
    "Plover",
)
DETAILS: Final = {
    "name": "Quixandra Vexmoor",
    "email": "quixandra@vexmoor.example",
    "phone": "+91 98450-12345",
    "dateOfBirth": "1971-03-09",
    "tags": ["plover"],
    "taxId": "QXVMR1234Z",
    "notes": "Quixandra likes Plover.",
    "parties": [{"role": "NOMINEE", "name": "Vexmoor junior", "relationship": "Plover's nephew", "share": "100"}],
}
TEXTS: Final = """
select format('select %L, count(*) from %I.%I t where t::text ~* $1', c.oid::regclass, n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('public', 'queue')
"""


async def mentioned(make: Make, *words: str) -> dict[str, int]:
    """In how many rows of which tables any of the words stands, in whichever column."""
    pattern = "|".join(words)
    counting = [row[0] for row in await make.connection.fetch(TEXTS)]
    assert len(counting) > 40
    counts = [(await make.connection.fetch(statement, pattern))[0] for statement in counting]
    return {name: count for name, count in counts if count}


async def stale(make: Make, user: SignedIn) -> SignedIn:
    """The same user, whose proof is too long ago for what is sensitive."""
    return await make.session(user.user, authenticated_at=make.now - timedelta(hours=1))


@pytest.fixture
async def admin(make: Make) -> SignedIn:
    return await make.user(Role.ADMIN)


class Former(msgspec.Struct):
    """A client with all that a person leaves in the firm."""

    id: str
    key: UUID
    version: int
    portfolio_id: Any
    user: SignedIn


async def former(gql: Gql, make: Make, admin: SignedIn, **given: Any) -> Former:
    """A client that was archived, with a household, a portfolio, texts in the ledger and a sign-in of its own."""
    ask, book = gql.as_(admin), await make.book()
    home = await ask.change("createHousehold", "household { id }", bookId=id_of(book), name="Vexmoor Plover")
    details = DETAILS | {"householdId": home["household"]["id"]} | given
    made = {"bookId": id_of(book), "kind": "INDIVIDUAL", "details": details}
    client_id = (await ask.change("createClient", "client { id }", **made))["client"]["id"]
    key = UUID(client_id.removeprefix("client_"))
    opened = {"clientId": client_id, "name": "Vexmoor for ever", "openedOn": "2024-01-01"}
    portfolio_id = (await ask.change("openPortfolio", "portfolio { id }", **opened))["portfolio"]["id"]
    deposit = {"portfolioId": portfolio_id, "kind": "DEPOSIT", "currency": "INR", "tradedOn": "2024-01-01"}
    texts = {"amount": "500", "note": "For Quixandra", "reference": "VEXMOOR-1", "idempotencyKey": "deposit"}
    recorded = await ask.change("recordTransaction", "transaction { id }", **deposit, **texts)
    assert recorded["userErrors"] == []
    user = await make.user(Role.CLIENT, client_id=key, name="Quixandra Vexmoor", email="q@vexmoor.example")
    await make.session(user.user, device="Plover's telephone", address="203.0.113.9")
    await say(gql, admin, "What does Quixandra Vexmoor hold?")
    await say(gql, admin, "And the cash of this Plover?", context={"nodeIds": [client_id], "page": "client"})
    await drained(gql.services, RUNS)
    archived = await ask.change("archiveClient", "client { id version }", clientId=client_id, version=1)
    assert archived["userErrors"] == []
    return Former(client_id, key, archived["client"]["version"], portfolio_id, user)


async def erase(gql: Gql, client: Former, **given: Any) -> Any:
    wanted = {"clientId": client.id, "version": client.version, "reason": REASON} | given
    return await gql.change("eraseClient", "client { id name email version parties { name } }", **wanted)


def codes(payload: Any) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def test_an_erased_client_stands_nowhere_and_the_trail_still_holds(
    gql: Gql, make: Make, services: Services, admin: SignedIn
) -> None:
    client = await former(gql, make, admin)
    share = await make.instrument("INFY")
    row = await make.connection.fetchrow("select * from portfolios")
    assert row
    portfolio = msgspec.convert({name: row[name] for name in Portfolio.__struct_fields__}, Portfolio)
    reasoned = await trading.order(make, portfolio, share, admin.user, reason="Quixandra has changed her mind")
    await seal(services.doors.database, datetime.now(UTC))
    assert {"clients", "client_words", "transactions", "orders", "users", "sessions"} <= set(
        await mentioned(make, *WORDS)
    )
    erased = await erase(gql.as_(admin), client)
    assert codes(erased) == []
    assert (erased["client"]["name"], erased["client"]["email"]) == ("Erased", None)
    assert [party["name"] for party in erased["client"]["parties"]] == ["Erased"]
    assert await mentioned(make, *WORDS) == {}
    # The ledger and the order are there, with all but their texts.
    entry = await make.connection.fetchrow("select amount, note, reference from transactions")
    assert entry
    assert tuple(entry) == (Decimal(500), None, None)
    assert await make.connection.fetchval("select reason from orders where id = $1", reasoned.id) is None
    await seal(services.doors.database, datetime.now(UTC))
    assert await findings(services) == []
    assert (await verified(services)).events > 5


async def test_the_history_of_an_erased_client_says_that_it_is_erased(gql: Gql, make: Make, admin: SignedIn) -> None:
    client = await former(gql, make, admin)
    document = """query ($id: ID!) { node(id: $id) { ... on Client {
        changes { nodes { action reason fields { name before after personal erased } } }
    } } }"""
    before = (await gql.as_(admin).run(document, id=client.id))["node"]["changes"]["nodes"]
    created = next(each for each in before if each["action"] == "clients.create" and len(each["fields"]) > 8)
    assert {"Quixandra Vexmoor"} <= {field["after"] for field in created["fields"]}
    await erase(gql.as_(admin), client)
    after = (await gql.as_(admin).run(document, id=client.id))["node"]["changes"]["nodes"]
    assert len(after) > len(before)
    for event in after:
        for field in event["fields"]:
            if field["name"] in {"name", "email", "phone", "dateOfBirth", "notes", "masked"}:
                assert (field["erased"], field["before"], field["after"]) == (True, None, None), event["action"]
    assert {event["reason"] for event in after if event["action"].startswith("privacy.")} == {REASON}


async def test_a_household_is_forgotten_with_its_last_member(gql: Gql, make: Make, admin: SignedIn) -> None:
    client = await former(gql, make, admin)
    row = await make.connection.fetchrow("select * from households")
    assert row
    other = await make.client(await make.book(), name="Asha Rao", household_id=row["id"])
    await erase(gql.as_(admin), client)
    # Others live there: it keeps its name.
    assert await make.connection.fetchval("select name from households") == "Vexmoor Plover"
    await make.connection.execute("update clients set status = 'ARCHIVED' where id = $1", other.id)
    second = msgspec.structs.replace(client, id=id_of(other), version=1)
    assert codes(await erase(gql.as_(admin), second)) == []
    assert await mentioned(make, "vexmoor", "plover") == {}


async def test_the_sign_in_of_an_erased_client_ends_at_once(gql: Gql, make: Make, admin: SignedIn) -> None:
    client = await former(gql, make, admin)
    assert (await gql.as_(client.user).ask("{ viewer { role } }")).codes == []
    await erase(gql.as_(admin), client)
    assert (await gql.as_(client.user).ask("{ viewer { role } }")).codes == ["UNAUTHENTICATED"]
    row = await make.connection.fetchrow("select status, email, name from users where id = $1", client.user.user.id)
    assert row
    assert (row["status"], row["name"]) == ("DISABLED", "Erased")
    assert row["email"].endswith("@erased.invalid")
    assert await make.connection.fetchval("select count(*) from credentials where id = $1", client.user.user.id) == 0


async def test_a_destroyed_key_is_never_made_again(gql: Gql, make: Make, services: Services, admin: SignedIn) -> None:
    client = await former(gql, make, admin)
    await erase(gql.as_(admin), client)
    row = await make.connection.fetchrow("select * from person_keys where person_id = $1", client.key)
    assert row
    assert (row["sealed_key"], row["destroyed_at"] is None) == (None, False)
    # Whatever is done to it later is told without what is personal, and makes no key.
    await make.connection.execute("update clients set status = 'ACTIVE', name = 'Back' where id = $1", client.key)
    details = {"clientId": client.id, "version": 3, "details": {"name": "Quixandra again"}}
    assert codes(await gql.as_(admin).change("updateClient", "client { id }", **details)) == []
    told = await make.connection.fetchval(
        "select after from audit_events where action = 'clients.update' order by id desc limit 1"
    )
    assert json.loads(told)["name"] == {"erased": True}
    refused = {"clientId": client.id, "version": 4, "details": {"taxId": "ABCDE1234F"}}
    assert codes(await gql.as_(admin).change("updateClient", "client { id }", **refused)) == ["ERASED"]
    key = await make.connection.fetchval("select sealed_key from person_keys where person_id = $1", client.key)
    assert key is None
    assert await findings(services) == []


async def test_of_two_erasures_at_once_one_is_done(gql: Gql, make: Make, admin: SignedIn) -> None:
    client = await former(gql, make, admin)
    answers = await asyncio.gather(*(erase(gql.as_(admin), client) for _ in range(3)))
    assert sum(codes(answer) == [] for answer in answers) == 1
    assert {code for answer in answers for code in codes(answer)} <= {"ERASED", "STALE_VERSION"}


async def test_only_a_former_client_is_erased(gql: Gql, make: Make, admin: SignedIn) -> None:
    client = await make.client(await make.book(), name="Asha Rao")
    present = Former(id_of(client), client.id, 1, None, admin)
    assert codes(await erase(gql.as_(admin), present)) == ["NOT_ARCHIVED"]
    old = await former(gql, make, admin)
    assert codes(await erase(gql.as_(admin), old, version=1)) == ["STALE_VERSION"]
    assert codes(await erase(gql.as_(admin), old, reason="short")) == ["INVALID_VALUE"]
    assert codes(await erase(gql.as_(await stale(make, admin)), old)) == ["REAUTHENTICATION_NEEDED"]
    assert await mentioned(make, "Quixandra")
    # A lost version undoes the destruction of the key too.
    assert await make.connection.fetchval("select count(*) from person_keys where destroyed_at is not null") == 0


async def test_what_the_law_keeps_is_kept(
    gql: Gql, make: Make, admin: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await former(gql, make, admin)
    monkeypatch.setattr("graph.context.Services.retention_years", 5)
    assert codes(await erase(gql.as_(admin), client)) == ["RETAINED"]
    years = datetime.now(UTC).replace(year=datetime.now(UTC).year - 5) - timedelta(days=1)
    await make.connection.execute("update clients set updated_at = $1 where id = $2", years, client.key)
    assert codes(await erase(gql.as_(admin), client)) == []


async def test_an_erased_user_stands_nowhere_but_by_its_id(
    gql: Gql, make: Make, services: Services, admin: SignedIn
) -> None:
    user = await make.user(Role.ADVISOR, name="Quixandra Vexmoor", email="quixandra@vexmoor.example")
    book = await make.book()
    await make.membership(book, user.user)
    await make.session(user.user, device="Plover's telephone")
    household = await gql.as_(user).change("createHousehold", "household { id }", bookId=id_of(book), name="Rao")
    assert household["userErrors"] == []
    given: dict[str, Any] = {"userId": user.id, "version": 1, "reason": REASON}
    fields = "user { name email status version }"
    assert codes(await gql.as_(admin).change("eraseUser", fields, **given)) == ["USER_STATUS"]
    disabled = await gql.as_(admin).change("disableUser", "user { version }", userId=user.id)
    given["version"] = disabled["user"]["version"]
    lost = await gql.as_(admin).change("eraseUser", fields, **{**given, "version": 9})
    assert codes(lost) == ["STALE_VERSION"]
    erased = await gql.as_(admin).change("eraseUser", fields, **given)
    assert codes(erased) == []
    assert (erased["user"]["name"], erased["user"]["status"]) == ("Erased", UserStatus.DISABLED)
    assert await mentioned(make, *WORDS) == {}
    assert codes(await gql.as_(admin).change("eraseUser", fields, **{**given, "version": given["version"] + 1})) == [
        "ERASED"
    ]
    # What it did is still told, by its id.
    document = "query ($cut: AuditEventFilter) { auditEvents(filter: $cut) { nodes { action actor { name } } } }"
    found = (await gql.as_(admin).run(document, cut={"actorId": user.id}))["auditEvents"]["nodes"]
    assert found == [{"action": "households.create", "actor": {"name": "Erased"}}]
    await seal(services.doors.database, datetime.now(UTC))
    assert await findings(services) == []


# Of a user, nothing but its id stands there.
BY_ID_ALONE: Final = {
    "announcements",
    "conversation_participants",
    "glass_accesses",
    "memberships",
    # An end client's go with its conversations.
    "messages",
    "notifications",
    "orders",
    "refresh_tokens",
    "runs",
    "service_accounts",
    "service_keys",
    "sessions",
    "transactions",
}


def test_every_table_that_refers_to_users_is_thought_of() -> None:
    script = metadata_script()
    blanked = {name for name in metadata.tables if f"delete from {name} where" in script}  # noqa: S608 - looked for, not run
    referring = {
        name
        for name, table in metadata.tables.items()
        if any(key.column.table.name == "users" for key in table.foreign_keys)
    }
    assert referring == blanked | (BY_ID_ALONE & referring)
    assert "update sessions set device = '', address = ''" in script


def metadata_script() -> str:
    """What the migration does to a user's rows."""
    from migrations.scripts import VERSIONS  # noqa: PLC0415 - alembic's own imports are long

    text = (VERSIONS / "0017_answers.up.sql").read_text(encoding="utf-8")
    return text[text.index("create function blank_account") :].partition("end\n$$;")[0]


async def test_the_functions_that_destroy_decline_without_a_destroyed_key(
    make: Make, services: Services, admin: SignedIn
) -> None:
    client = await make.client(await make.book())
    await ledger.deposit(make, await make.portfolio(client), admin.user, note="kept")
    async with services.doors.database.lend(await make.viewer(admin), identity=True) as lent:
        for call in ("blank_client($1, 'x')", "blank_account($1)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="is not erased"):
                await lent.connection.execute(f"select {call}", client.id)
    advisor = await make.viewer(await make.advisor())
    async with services.doors.database.lend(advisor) as lent:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="sees everything"):
            await lent.connection.execute("select destroy_key($1, now())", client.id)
    assert await make.connection.fetchval("select note from transactions") == "kept"


async def reveal(gql: Gql, client_id: str, reason: str = "Asked for by the tax office.") -> Any:
    return await gql.change("revealTaxId", "taxId", clientId=client_id, reason=reason)


async def test_a_tax_id_is_shown_for_a_reason_that_the_trail_keeps(gql: Gql, make: Make) -> None:
    advisor = await make.advisor()
    assert advisor.book
    client = await make.client(advisor.book)
    ask = gql.as_(advisor)
    details = {"clientId": id_of(client), "version": 1, "details": {"taxId": "abcde 1234f"}}
    await ask.change("updateClient", "client { id }", **details)
    assert codes(await reveal(ask, id_of(client), "  because  ")) == ["INVALID_VALUE"]
    assert codes(await reveal(gql.as_(await stale(make, advisor)), id_of(client))) == ["REAUTHENTICATION_NEEDED"]
    shown = await reveal(ask, id_of(client))
    assert (shown["taxId"], codes(shown)) == ("ABCDE1234F", [])
    rows = await make.connection.fetch("select * from audit_events where action = 'privacy.reveal_tax_id'")
    # Only what was shown is told, and without what was shown.
    assert [(row["actor_id"], row["client_id"]) for row in rows] == [(advisor.user.id, client.id)]
    assert "ABCDE" not in str(rows)


async def test_a_client_without_a_tax_id_shows_none_and_strangers_find_nobody(gql: Gql, make: Make) -> None:
    advisor, stranger = await make.advisor(), await make.advisor()
    assert advisor.book
    client = await make.client(advisor.book, status=ClientStatus.ACTIVE)
    assert (await reveal(gql.as_(advisor), id_of(client)))["taxId"] is None
    document = "mutation ($i: RevealTaxIdInput!) { revealTaxId(input: $i) { taxId } }"
    answer = await gql.as_(stranger).ask(document, i={"clientId": id_of(client), "reason": "Asked for by somebody."})
    assert answer.codes == ["NOT_FOUND"]
    rows = await make.connection.fetchval("select count(*) from audit_events where actor_id = $1", stranger.user.id)
    assert rows == 0

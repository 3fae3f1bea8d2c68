import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from domain.access import Role
from domain.clients import ClientKind
from domain.text import fold
from graph.ids import encode, id_of
from tests.factories import people
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.stage import Stage
from tests.support.statements import Statements

CLIENT = """
client {
    id name email phone dateOfBirth kind segment status riskProfile kycStatus kycExpiresOn currency tags version
    book { name } taxId { masked } parties { role name dateOfBirth relationship share }
    profile { notes preferences { channel language doNotDisturb } } portfolios { id } household { id }
}
"""
SEARCH = "query ($filter: ClientFilter) { clients(filter: $filter) { totalCount nodes { name } } }"

# What each kind of client needs at least.
PARTIES: dict[str, list[dict[str, Any]]] = {
    "INDIVIDUAL": [],
    "JOINT": [{"role": "HOLDER", "name": "Asha"}, {"role": "HOLDER", "name": "Ravi"}],
    "MINOR": [{"role": "GUARDIAN", "name": "Asha", "relationship": "mother"}],
    "HUF": [{"role": "KARTA", "name": "Ravi"}],
    "COMPANY": [{"role": "DIRECTOR", "name": "Meera"}],
    "TRUST": [{"role": "TRUSTEE", "name": "Meera"}],
}


# One database for the module: each test has an advisor, and so clients, of its own.
@pytest.fixture
def make(stage: Stage) -> Make:
    return stage.make


@pytest.fixture
def gql(stage: Stage) -> Gql:
    return stage.gql


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor()


def id_of_client(row_id: UUID) -> str:
    """The id of a client, as clients of the API know it."""
    return encode("client", row_id)


async def create(gql: Gql, by: SignedIn, kind: str = "INDIVIDUAL", **details: Any) -> Any:
    assert by.book
    details = {"name": "Asha Rao", "parties": PARTIES[kind]} | details
    return await gql.as_(by).change("createClient", CLIENT, bookId=id_of(by.book), kind=kind, details=details)


async def update(gql: Gql, by: SignedIn, client_id: str, version: int, **details: Any) -> Any:
    return await gql.as_(by).change("updateClient", CLIENT, clientId=client_id, version=version, details=details)


def declined(payload: Any) -> list[tuple[str, str]]:
    """Code and field of each user error; fails the test if something was changed after all."""
    assert all(value is None for name, value in payload.items() if name != "userErrors")
    return [(error["code"], ".".join(error["field"])) for error in payload["userErrors"]]


@pytest.mark.parametrize("kind", ClientKind)
async def test_every_kind_of_client_is_taken_on(gql: Gql, advisor: SignedIn, kind: ClientKind) -> None:
    payload = await create(gql, advisor, kind)
    assert payload["userErrors"] == []
    client = payload["client"]
    assert (client["kind"], client["status"], client["kycStatus"], client["version"]) == (
        kind,
        "PROSPECT",
        "PENDING",
        1,
    )
    assert [(party["role"], party["name"]) for party in client["parties"]] == [
        (party["role"], party["name"]) for party in PARTIES[kind]
    ]


@pytest.mark.parametrize("kind", [kind for kind, parties in PARTIES.items() if parties])
async def test_a_kind_needs_its_parties(gql: Gql, advisor: SignedIn, kind: str) -> None:
    assert advisor.book
    for parties in ({"parties": PARTIES[kind][:-1]}, {}):
        given = {"bookId": id_of(advisor.book), "kind": kind, "details": {"name": "Asha Rao"} | parties}
        payload = await gql.as_(advisor).change("createClient", CLIENT, **given)
        assert declined(payload) == [("INVALID_VALUE", "input.details.parties")]


async def test_all_that_can_be_said_of_a_client_is_kept_in_form(gql: Gql, advisor: SignedIn) -> None:
    nominees = [
        {
            "role": "NOMINEE",
            "name": " Ravi  Rao ",
            "dateOfBirth": "2001-02-03",
            "relationship": "son",
            "share": "33.3333",
        },
        {"role": "NOMINEE", "name": "Mira", "share": "66.6667"},
    ]
    client = (
        await create(
            gql,
            advisor,
            name="  Zoë   Müller ",
            email=" Zoe@Example.ORG ",
            phone="+91 (98123) 45-678",
            dateOfBirth="1980-02-29",
            segment="UHNI",
            status="ACTIVE",
            riskProfile="AGGRESSIVE",
            kycStatus="VERIFIED",
            kycExpiresOn="2031-01-01",
            tags=["VIP ", "vip", " Golf   club", ""],
            taxId=" abcde 1234f ",
            parties=nominees,
            notes="  Plays golf. ",
            channel="PHONE",
            language="de",
            doNotDisturb=True,
        )
    )["client"]
    assert client["name"] == "Zoë Müller"
    assert (client["email"], client["phone"]) == ("zoe@example.org", "+919812345678")
    assert client["tags"] == ["vip", "golf club"]
    assert client["taxId"] == {"masked": "••••••234F"}
    assert [(party["name"], party["share"]) for party in client["parties"]] == [
        ("Ravi Rao", "33.3333"),
        ("Mira", "66.6667"),
    ]
    assert client["profile"] == {
        "notes": "Plays golf.",
        "preferences": {"channel": "PHONE", "language": "de", "doNotDisturb": True},
    }
    assert (client["segment"], client["riskProfile"], client["kycExpiresOn"]) == ("UHNI", "AGGRESSIVE", "2031-01-01")


@pytest.mark.parametrize(
    ("details", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"email": "nobody"}, "email"),
        ({"email": f"{'x' * 250}@example.org"}, "email"),
        ({"phone": "12345"}, "phone"),
        ({"phone": "+1+2+3+4+5+6+7"}, "phone"),
        ({"phone": "٠١٢٣٤٥٦٧٨٩"}, "phone"),
        ({"dateOfBirth": "9999-12-31"}, "dateOfBirth"),
        ({"kycStatus": "VERIFIED"}, "kycExpiresOn"),
        ({"tags": ["x" * 41]}, "tags"),
        ({"tags": [str(number) for number in range(21)]}, "tags"),
        ({"taxId": "1234"}, "taxId"),
        ({"taxId": "ABCDE-1234"}, "taxId"),
        ({"taxId": "٠١٢٣٤٥"}, "taxId"),
        ({"notes": "x" * 10_001}, "notes"),
        ({"language": "English, please"}, "language"),
        ({"parties": [{"role": "MEMBER", "name": " "}]}, "parties"),
        ({"parties": [{"role": "MEMBER", "name": "x", "relationship": "x" * 201}]}, "parties"),
        ({"parties": [{"role": "NOMINEE", "name": "x"}]}, "parties"),
        ({"parties": [{"role": "NOMINEE", "name": "x", "share": "99"}]}, "parties"),
        ({"parties": [{"role": "NOMINEE", "name": "x", "share": "-1"}]}, "parties"),
        ({"parties": [{"role": "BENEFICIARY", "name": "x", "share": "100000"}]}, "parties"),
        ({"parties": [{"role": "BENEFICIARY", "name": "x", "share": "0.00001"}]}, "parties"),
        ({"parties": [{"role": "MEMBER", "name": "x"}] * 31}, "parties"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_a_rule_declines_is_named(gql: Gql, advisor: SignedIn, details: dict[str, Any], field: str) -> None:
    assert declined(await create(gql, advisor, **details)) == [("INVALID_VALUE", f"input.details.{field}")]
    listed = await gql.as_(advisor).run(SEARCH)
    assert listed["clients"]["totalCount"] == 0


@pytest.mark.parametrize("field", ["name", "segment", "status", "kycStatus", "tags", "parties", "channel", "language"])
async def test_what_cannot_be_without_a_value_is_never_null(gql: Gql, advisor: SignedIn, field: str) -> None:
    assert advisor.book
    given = {"bookId": id_of(advisor.book), "kind": "INDIVIDUAL", "details": {"name": "x"} | {field: None}}
    document = "mutation ($input: CreateClientInput!) { createClient(input: $input) { client { id } } }"
    answer = await gql.as_(advisor).ask(document, input=given)
    assert answer["errors"][0]["extensions"]["details"] == [
        {"field": f"input.details.{field}", "issue": "can be left out, but is never null"}
    ]


@pytest.mark.parametrize("currency", ["", "inr", "XXXX", "INR "])
async def test_a_clients_currency_is_one_of_iso_4217(gql: Gql, advisor: SignedIn, currency: str) -> None:
    assert advisor.book
    payload = await gql.as_(advisor).change(
        "createClient",
        "client { id }",
        bookId=id_of(advisor.book),
        kind="INDIVIDUAL",
        details={"name": "x"},
        currency=currency,
    )
    assert declined(payload) == [("INVALID_VALUE", "input.currency")]


async def test_a_tax_id_is_stored_sealed_and_replaced(gql: Gql, make: Make, advisor: SignedIn) -> None:
    client = (await create(gql, advisor, taxId="ABCDE1234F"))["client"]
    changed = (await update(gql, advisor, client["id"], 1, taxId="PQRST9876Z"))["client"]
    assert changed["taxId"] == {"masked": "••••••876Z"}
    rows = await make.connection.fetch("select * from client_tax_ids where masked = '••••••876Z'")
    assert [id_of_client(row["id"]) for row in rows] == [client["id"]]
    assert b"PQRST" not in rows[0]["sealed"]
    tables = await make.connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    for (table,) in tables:
        everything = await make.connection.fetch(f"select t::text from {table} t")  # noqa: S608 - our own names
        assert not any("PQRST" in text or "ABCDE1234F" in text for (text,) in everything), table


async def test_what_is_left_out_stays_and_what_is_null_goes(gql: Gql, advisor: SignedIn) -> None:
    made = (await create(gql, advisor, email="a@example.org", phone="9812345678", tags=["vip"], notes="Golf."))[
        "client"
    ]
    changed = (await update(gql, advisor, made["id"], 1, email=None, segment="HNI"))["client"]
    assert changed == made | {"email": None, "segment": "HNI", "version": 2}
    bare = (await update(gql, advisor, made["id"], 2, tags=[], notes=None, parties=[]))["client"]
    assert (bare["tags"], bare["profile"]["notes"], bare["phone"]) == ([], "", "9812345678")


async def test_a_null_where_there_is_none_is_refused_by_name(gql: Gql, advisor: SignedIn) -> None:
    made = (await create(gql, advisor))["client"]
    given = {"clientId": made["id"], "version": 1, "details": {"segment": None}}
    answer = await gql.as_(advisor).ask(
        "mutation ($input: UpdateClientInput!) { updateClient(input: $input) { client { version } } }", input=given
    )
    assert answer.codes == ["VALIDATION_ERROR"]
    assert answer["errors"][0]["extensions"]["details"][0]["field"] == "input.details.segment"


async def test_of_two_edits_of_one_version_one_wins(gql: Gql, advisor: SignedIn) -> None:
    client = (await create(gql, advisor))["client"]
    payloads = await asyncio.gather(*(update(gql, advisor, client["id"], 1, name=f"Asha {at}") for at in range(4)))
    kept = [payload["client"] for payload in payloads if payload["client"]]
    assert [each["version"] for each in kept] == [2]
    for payload in payloads:
        if payload["client"] is None:
            assert declined(payload) == [("STALE_VERSION", "input.version")]
    listed = await gql.as_(advisor).run(SEARCH)
    assert [node["name"] for node in listed["clients"]["nodes"]] == [kept[0]["name"]]


@pytest.mark.parametrize("version", [0, 2, -1, 2**31 - 1])
async def test_another_version_is_stale(gql: Gql, make: Make, advisor: SignedIn, version: int) -> None:
    client = (await create(gql, advisor))["client"]
    admin = await make.user(Role.ADMIN)
    other = await make.book()
    stale = [("STALE_VERSION", "input.version")]
    assert declined(await update(gql, advisor, client["id"], version, name="x")) == stale
    given = {"clientId": client["id"], "version": version}
    assert declined(await gql.as_(admin).change("archiveClient", "client { id }", **given)) == stale
    assert declined(await gql.as_(admin).change("moveClient", "client { id }", bookId=id_of(other), **given)) == stale


async def test_an_archived_client_takes_no_changes(gql: Gql, make: Make, advisor: SignedIn) -> None:
    client = (await create(gql, advisor))["client"]
    archived = await gql.as_(advisor).change(
        "archiveClient", "client { status version }", clientId=client["id"], version=1
    )
    assert archived["client"] == {"status": "ARCHIVED", "version": 2}
    closed = [("ARCHIVED", "input.clientId")]
    assert declined(await update(gql, advisor, client["id"], 2, status="ACTIVE")) == closed
    again = await gql.as_(advisor).change("archiveClient", "client { id }", clientId=client["id"], version=2)
    assert declined(again) == closed
    admin, other = await make.user(Role.ADMIN), await make.book()
    moved = await gql.as_(admin).change(
        "moveClient", "client { id }", clientId=client["id"], bookId=id_of(other), version=2
    )
    assert declined(moved) == closed


async def delete(gql: Gql, by: SignedIn, client_id: str) -> Any:
    return await gql.as_(by).change("deleteClient", "deletedId", clientId=client_id)


async def test_a_client_without_history_is_deleted_with_all_it_has(gql: Gql, make: Make, advisor: SignedIn) -> None:
    nominee = {"role": "NOMINEE", "name": "Ravi", "share": "100"}
    client = (await create(gql, advisor, taxId="ABCDE1234F", parties=[nominee], tags=["vip"]))["client"]
    assert await delete(gql, advisor, client["id"]) == {"deletedId": client["id"], "userErrors": []}
    columns = {"clients": "id", "client_profiles": "id", "client_tax_ids": "id"}
    for table in (*columns, "client_parties", "client_words"):
        found = await make.connection.fetch(f"select {columns.get(table, 'client_id')} from {table}")  # noqa: S608 - our own names
        assert client["id"] not in {id_of_client(row[0]) for row in found}, table
    document = "mutation ($input: DeleteClientInput!) { deleteClient(input: $input) { deletedId } }"
    assert (await gql.as_(advisor).ask(document, input={"clientId": client["id"]})).codes == ["NOT_FOUND"]


async def test_a_client_with_a_history_is_not_deleted(gql: Gql, make: Make, advisor: SignedIn) -> None:
    assert advisor.book
    with_portfolio, with_user = [await make.client(advisor.book) for _ in range(2)]
    await make.portfolio(with_portfolio)
    await make.user(Role.CLIENT, client_id=with_user.id)
    for client in (with_portfolio, with_user):
        assert declined(await delete(gql, advisor, id_of(client))) == [("HAS_HISTORY", "input.clientId")]


async def test_a_moved_client_is_in_the_other_book(gql: Gql, make: Make, advisor: SignedIn) -> None:
    client = (await create(gql, advisor))["client"]
    admin, other = await make.user(Role.ADMIN), await make.book()
    moved = await gql.as_(admin).change(
        "moveClient", "client { version book { name } }", clientId=client["id"], bookId=id_of(other), version=1
    )
    assert moved["client"] == {"version": 2, "book": {"name": other.name}}
    again = await gql.as_(admin).change(
        "moveClient", "client { id }", clientId=client["id"], bookId=id_of(other), version=2
    )
    assert declined(again) == [("INVALID_VALUE", "input.bookId")]
    # It is still found by its words, by those who see it now.
    for viewer, names in ((admin, ["Asha Rao"]), (advisor, [])):
        found = (await gql.as_(viewer).run(SEARCH, filter={"text": "rao", "bookIds": [id_of(other)]}))["clients"]
        assert [node["name"] for node in found["nodes"]] == names


NAMES = ["Asha Rao", "Zoë Müller", "Ravi Rao-Mehta", "ÖZGÜR Işık", "李 小龍", "O'Brien", "Straße GmbH"]


@pytest.fixture
async def known(make: Make, advisor: SignedIn) -> SignedIn:
    """The advisor, with clients of these names."""
    assert advisor.book
    for name in NAMES:
        await make.client(advisor.book, name=name)
    await make.client(
        advisor.book, name="Priya", email="priya.s@example.org", phone="+919812345678", tags=("golf club", "vip")
    )
    return advisor


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rao", ["Asha Rao", "Ravi Rao-Mehta"]),
        ("RA", ["Asha Rao", "Ravi Rao-Mehta"]),
        ("rao ravi", ["Ravi Rao-Mehta"]),
        ("meh ra", ["Ravi Rao-Mehta"]),
        ("rao rao", ["Asha Rao", "Ravi Rao-Mehta"]),
        ("ao", []),
        ("zoe mull", ["Zoë Müller"]),
        ("ZOË", ["Zoë Müller"]),
        ("ozgur", ["ÖZGÜR Işık"]),
        ("strasse", ["Straße GmbH"]),
        ("小", ["李 小龍"]),
        ("o'brien", ["O'Brien"]),
        ("priya.s@example", ["Priya"]),
        ("+91 98123 45678", []),
        ("+919812", ["Priya"]),
        ("vip golf", ["Priya"]),
        ("club priya", ["Priya"]),
        ("rao nobody", []),
        ("' or 1=1 --", []),
        ("%", None),
        ("_", None),
        ("\\", None),
        ("", None),
        ("😀", None),
        ("a" * 100_000, []),
        ("b " * 50_000, ["O'Brien"]),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_search_finds_beginnings_of_words(
    gql: Gql, known: SignedIn, text: str, found: list[str] | None
) -> None:
    listed = (await gql.as_(known).run(SEARCH, filter={"text": text}))["clients"]
    # A text without any word leaves nobody out, as an empty box does.
    expected = sorted([*NAMES, "Priya"], key=fold) if found is None else found
    assert [node["name"] for node in listed["nodes"]] == expected
    assert listed["totalCount"] == len(expected)


async def test_words_follow_every_change_of_a_client(gql: Gql, make: Make, known: SignedIn) -> None:
    listed = await gql.as_(known).run("{ clients { nodes { id name } } }")
    asha = next(node["id"] for node in listed["clients"]["nodes"] if node["name"] == "Asha Rao")
    await update(gql, known, asha, 1, name="Asha Iyer", tags=["tennis"])
    for text, names in (("rao", ["Ravi Rao-Mehta"]), ("iyer", ["Asha Iyer"]), ("tennis", ["Asha Iyer"])):
        found = await gql.as_(known).run(SEARCH, filter={"text": text})
        assert [node["name"] for node in found["clients"]["nodes"]] == names
    words = await make.connection.fetch(
        "select word from client_words where client_id = $1", UUID(asha.removeprefix("client_"))
    )
    assert sorted(row[0] for row in words) == ["asha", "iyer", "tennis"]


@pytest.mark.parametrize(
    ("cut", "names"),
    [
        ({"tag": " VIP "}, ["c"]),
        ({"tag": "vi"}, []),
        ({"kinds": ["TRUST", "HUF"]}, ["b"]),
        ({"kinds": []}, []),
        ({"segments": ["UHNI"], "statuses": ["DORMANT"]}, ["a"]),
        ({"riskProfiles": ["AGGRESSIVE"]}, ["b"]),
        ({"kycStatuses": ["VERIFIED"], "kycExpiresBefore": "2027-01-01"}, ["c"]),
        ({"kycExpiresBefore": "2026-12-31"}, []),
        ({"householdId": "the household"}, ["a", "c"]),
        ({"text": "a", "segments": ["RETAIL"]}, []),
    ],
    ids=str,
)
async def test_clients_are_filtered(
    gql: Gql, make: Make, advisor: SignedIn, cut: dict[str, Any], names: list[str]
) -> None:
    assert advisor.book
    household = await people.household(make, advisor.book)
    await make.client(advisor.book, name="a", segment="UHNI", status="DORMANT", household_id=household.id)
    await make.client(advisor.book, name="b", kind="TRUST", risk_profile="AGGRESSIVE")
    await make.client(
        advisor.book, name="c", tags=("vip",), kyc_expires_on=date(2026, 12, 31), household_id=household.id
    )
    cut = {key: id_of(household) if value == "the household" else value for key, value in cut.items()}
    listed = (await gql.as_(advisor).run(SEARCH, filter=cut))["clients"]
    assert ([node["name"] for node in listed["nodes"]], listed["totalCount"]) == (names, len(names))


async def test_a_household_of_another_book_is_not_found(gql: Gql, make: Make, advisor: SignedIn) -> None:
    elsewhere = await people.household(make, await make.book())
    assert advisor.book
    given = {
        "bookId": id_of(advisor.book),
        "kind": "INDIVIDUAL",
        "details": {"name": "x", "householdId": id_of(elsewhere)},
    }
    document = "mutation ($input: CreateClientInput!) { createClient(input: $input) { client { id } } }"
    assert (await gql.as_(advisor).ask(document, input=given)).codes == ["NOT_FOUND"]


# Every relation of a client, and what lies beneath.
IN_FULL = """
{
    clients(first: 50) {
        totalCount
        nodes {
            id name book { name team { name } } household { name } parties { name } profile { notes } taxId { masked }
            portfolios { name } wealth { totalAssets { amount } }
        }
    }
}
"""


@pytest.mark.parametrize("clients", [2, 20])
async def test_the_list_costs_the_same_whatever_its_size(stage: Stage, gql: Gql, make: Make, clients: int) -> None:
    advisor = await make.advisor()
    assert advisor.book
    for _ in range(clients):
        household = await people.household(make, advisor.book)
        client = await make.client(advisor.book, household_id=household.id)
        await people.party(make, client)
        await make.portfolio(client)
    with Statements(stage.services.doors.database).counted() as seen:
        assert len((await gql.as_(advisor).run(IN_FULL))["clients"]["nodes"]) == clients
    # The page, the count, one for each of seven relations, and five for what all clients are worth.
    assert len(seen) == 2 + 7 + 5

"""Attempts to sign in: how many are let through, what they are answered, and what the audit trail tells of them."""

import json
from base64 import b64decode
from typing import Any

import pytest

from domain.access import NOBODY
from domain.errors import Unauthenticated
from domain.identity import sign_in as signing_in
from domain.identity.attempts import LONGEST_WAIT
from domain.origin import COMMAND_LINE
from graph.context import Services
from persistence.housekeeping import forget
from persistence.vault import Vault
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.graph.test_identity import SIGN_IN, VIEWER, by, reason, sign_in
from tests.support.clock import moved, stopped
from tests.support.gql import Answer, Gql

NOBODYS = "nobody@steward.example"
WRONG = "not the password"


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor()


async def tried(gql: Gql, email: str, password: str = WRONG) -> Answer:
    return await gql.ask(SIGN_IN, email=email, password=password)


def wait(answer: Answer) -> int:
    """For how many seconds the answer says to wait."""
    assert answer.codes == ["RATE_LIMITED"]
    return int(answer["errors"][0]["extensions"]["retryAfter"])


async def test_after_some_failures_every_further_one_doubles_the_wait(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    clock = stopped(services)
    for _ in range(5):
        assert reason(await tried(gql, advisor.user.email)) == "INVALID"
    for seconds in (1, 2, 4, 8):
        # Not even the right password is looked at, and a refused attempt is none.
        assert wait(await tried(gql, advisor.user.email, PASSWORD)) == seconds
        assert wait(await tried(gql, advisor.user.email.upper(), PASSWORD)) == seconds
        clock.move(seconds=seconds)
        assert reason(await tried(gql, advisor.user.email)) == "INVALID"
    clock.move(seconds=16)
    assert await sign_in(gql, advisor.user.email)
    # That is forgiven now.
    for _ in range(5):
        assert reason(await tried(gql, advisor.user.email)) == "INVALID"


async def test_the_wait_ends_and_is_forgotten_after_a_quiet_day(
    gql: Gql, services: Services, make: Make, advisor: SignedIn
) -> None:
    clock = moved(services)
    for _ in range(5):
        await tried(gql, advisor.user.email)
    # As it is after many more.
    await make.connection.execute("update sign_in_attempts set failures = 15 where key like 'account:%'")
    clock.move(seconds=1)
    assert reason(await tried(gql, advisor.user.email)) == "INVALID"
    assert wait(await tried(gql, advisor.user.email)) == LONGEST_WAIT.total_seconds()
    clock.move(days=1)
    for _ in range(5):
        assert reason(await tried(gql, advisor.user.email)) == "INVALID"


async def test_an_account_that_there_is_not_is_blocked_like_one_that_there_is(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    stopped(services)
    known, unknown = [[await tried(gql, email) for _ in range(7)] for email in (advisor.user.email, NOBODYS)]
    assert [answer.steady for answer in known] == [answer.steady for answer in unknown]
    assert [answer.codes[0] for answer in known] == [*["UNAUTHENTICATED"] * 5, *["RATE_LIMITED"] * 2]


async def test_one_account_is_blocked_and_no_other(gql: Gql, services: Services, make: Make, advisor: SignedIn) -> None:
    stopped(services)
    other = await make.advisor()
    for _ in range(7):
        await tried(gql, advisor.user.email)
    assert await sign_in(gql, other.user.email)


async def test_an_address_that_guesses_at_many_accounts_is_blocked(
    gql: Gql, services: Services, advisor: SignedIn
) -> None:
    clock = stopped(services)
    for number in range(30):
        # Signing in itself costs nothing, though it is counted before anybody knows that it will.
        if not number % 10:
            assert await sign_in(gql, advisor.user.email)
        assert reason(await tried(gql, f"guess{number}@steward.example")) == "INVALID"
    assert wait(await tried(gql, "guess@steward.example")) == 1
    assert wait(await tried(gql, advisor.user.email, PASSWORD)) == 1
    clock.move(seconds=1)
    assert await sign_in(gql, advisor.user.email)
    # An own account opens no way to guess on faster: the next failure waits longer than the one before.
    assert reason(await tried(gql, "guess@steward.example")) == "INVALID"
    assert wait(await tried(gql, advisor.user.email, PASSWORD)) == 2


@pytest.mark.parametrize("status", ["DISABLED", "INVITED"])
async def test_the_right_password_of_who_may_not_sign_in_is_a_wrong_one(
    gql: Gql, make: Make, advisor: SignedIn, status: str
) -> None:
    await make.connection.execute("update users set status = $1 where id = $2", status, advisor.user.id)
    refused, unknown = await tried(gql, advisor.user.email, PASSWORD), await tried(gql, NOBODYS, PASSWORD)
    assert reason(refused) == "INVALID"
    assert refused.steady == unknown.steady


async def test_a_password_is_the_same_however_its_letters_are_composed(
    gql: Gql, make: Make, services: Services, advisor: SignedIn
) -> None:
    hashed = services.passwords.hash("Zürich sits by the water")
    await make.connection.execute("update credentials set password_hash = $1 where id = $2", hashed, advisor.user.id)
    assert await sign_in(gql, advisor.user.email, "Zu\u0308rich sits by the water")
    assert reason(await tried(gql, advisor.user.email, "Zurich sits by the water")) == "INVALID"
    assert reason(await tried(gql, advisor.user.email, "x" * 100_000)) == "INVALID"


async def rows(make: Make, action: str) -> list[Any]:
    return list(
        await make.connection.fetch(
            "select *, after::text as told from audit_events where action = $1 order by occurred_at, id", action
        )
    )


async def test_every_failed_sign_in_is_in_the_trail_without_what_was_given(
    gql: Gql, make: Make, services: Services, advisor: SignedIn
) -> None:
    clock = stopped(services)
    for email in (advisor.user.email, NOBODYS):
        for _ in range(6):
            await tried(gql, email, "a secret that was mistyped")
            clock.move(milliseconds=1)
    found = await rows(make, "identity.sign_in_failed")
    assert [row["object_id"] for row in found] == [advisor.user.id] * 6 + [None] * 6
    outcomes = [json.loads(row["told"])["outcome"] for row in found]
    assert outcomes == [*["WRONG_PASSWORD"] * 5, "RATE_LIMITED", *["UNKNOWN_ADDRESS"] * 5, "RATE_LIMITED"]
    for row in found:
        assert row["actor_id"] is None
        assert row["request_id"]
        for given in ("mistyped", advisor.user.email, NOBODYS, "127.0.0.1"):
            assert given not in row["told"]
    # Where it came from is told, sealed for that user or for nobody; of an address that was tried, a digest alone.
    known, unknown = (json.loads(found[at]["told"]) for at in (0, 6))
    assert {"address", "device", "account", "outcome"} == set(known) == set(unknown)
    assert unknown["account"] == services.tokens.blinded(NOBODYS)
    async with services.doors.database.lend(None, identity=True) as lent:
        vault = Vault(lent, services.doors._ring)  # noqa: SLF001 - the ring of the application under test
        for person_id, told in ((advisor.user.id, known), (NOBODY, unknown)):
            assert await vault.open(person_id, b64decode(told["address"]["sealed"])) == '"127.0.0.1"'


async def test_a_sign_in_names_who_has_signed_in(gql: Gql, services: Services, make: Make, advisor: SignedIn) -> None:
    session = await sign_in(gql, advisor.user.email)
    (row,) = [each for each in await rows(make, "identity.sign_in") if each["object_type"] == "Session"]
    assert (row["actor_id"], row["session_id"], row["user_id"]) == (advisor.user.id, row["object_id"], advisor.user.id)
    refreshed = await gql.change("refreshSession", "session { accessToken }", refreshToken=session["refreshToken"])
    assert {each["actor_id"] for each in await rows(make, "identity.refresh")} <= {advisor.user.id}
    await by(gql, services, refreshed["session"]["accessToken"]).change("signOut", "signedOut")
    assert {each["actor_id"] for each in await rows(make, "identity.sign_out")} == {advisor.user.id}


async def test_attempts_are_forgotten_when_they_slow_nobody_down(
    gql: Gql, services: Services, make: Make, advisor: SignedIn
) -> None:
    clock = moved(services)
    await tried(gql, advisor.user.email)
    count = "select count(*) from sign_in_attempts"
    assert await make.connection.fetchval(count) == 2
    await forget(services.doors.database, clock())
    assert await make.connection.fetchval(count) == 2
    clock.move(days=1, seconds=1)
    await forget(services.doors.database, clock())
    assert await make.connection.fetchval(count) == 0


async def test_a_password_that_is_changed_while_it_is_looked_at_lets_nobody_in(
    gql: Gql, services: Services, make: Make, advisor: SignedIn
) -> None:
    rules, doors = services.admissions, services.doors
    was_right = await doors.identify(None, "test", signing_in.try_sign_in, rules, advisor.user.email, COMMAND_LINE)
    assert isinstance(was_right, signing_in.Tried)
    change = {"currentPassword": PASSWORD, "newPassword": "seven green lanterns hum"}
    changed = await gql.as_(advisor).change("changePassword", "__typename", **change)
    assert changed["userErrors"] == []
    outcome = await doors.identify(None, "test", signing_in.sign_in, rules, was_right, matches=True)
    assert isinstance(outcome, Unauthenticated)
    standing = "select count(*) from sessions where user_id = $1 and revoked_at is null"
    assert await make.connection.fetchval(standing, advisor.user.id) == 1


async def test_where_nobodys_sign_in_came_from_is_sealed_for_nobody(gql: Gql, make: Make) -> None:
    await tried(gql, NOBODYS)
    assert await make.connection.fetchval("select count(*) from person_keys where person_id = $1", NOBODY) == 1
    assert await make.connection.fetchval("select count(*) from audit_events where person_id = $1", NOBODY) == 1


async def test_own_proofs_are_counted_like_sign_ins(gql: Gql, services: Services, advisor: SignedIn) -> None:
    stopped(services)
    own = gql.as_(advisor)
    for _ in range(3):
        wrong = await own.change("reauthenticate", "goodUntil", password="not the password")
        assert [error["code"] for error in wrong["userErrors"]] == ["WRONG_PASSWORD"]
    for _ in range(2):
        given = {"currentPassword": "not the password", "newPassword": "another phrase nobody says 7"}
        wrong = await own.change("changePassword", "changed", **given)
        assert [error["code"] for error in wrong["userErrors"]] == ["WRONG_PASSWORD"]
    document = 'mutation { reauthenticate(input: {password: "x"}) { goodUntil userErrors { code } } }'
    assert wait(await own.ask(document)) == 1
    # The session itself goes on, while nobody signs in.
    assert (await own.run(VIEWER))["viewer"]
    assert wait(await tried(gql, advisor.user.email, PASSWORD)) == 1

"""Budgets by the minute: of users, of service keys and of addresses."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from limits import RateLimitItemPerMinute

from domain.access import Role
from domain.service_accounts import new_text
from graph.context import Services
from graph.http.schema import Schema
from graph.rates import Allowance, Caller, Kind
from graph.settings import Settings
from persistence.rates import Limiter, MemoryWindows
from tests.factories import partners
from tests.factories.firm import PASSWORD, Make
from tests.support.budgets import Budgets
from tests.support.clock import MovedClock
from tests.support.lendings import Lendings

CHEAP: Final = "{ __typename }"
PAGE: Final = "{ clients(first: 100) { nodes { id } } }"
REQUESTED: Final = 111
SIGN_IN: Final = """mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) { session { accessToken } }
}"""


async def test_a_user_has_a_hundred_requests_a_minute_by_default(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema), await make.advisor()
    other, session = await make.advisor(), await make.session(advisor.user)
    async with budgets.at() as caller:
        answers = [await caller.raw(CHEAP, advisor.token) for _ in range(100)]
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == [
            str(left) for left in range(99, -1, -1)
        ]
        refused = await caller.raw(CHEAP, advisor.token)
        assert refused.status_code == 429
        error = refused.json()["errors"][0]["extensions"]
        assert error["code"] == "RATE_LIMITED"
        assert 55 <= error["retryAfter"] <= 60
        assert refused.headers["retry-after"] == str(error["retryAfter"])
        assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("100", "0")
        assert await caller.code(CHEAP, session.token) == "RATE_LIMITED", "all sessions of a user are one caller"
        assert await caller.code(CHEAP, other.token) == ""
    async with budgets.at("198.51.100.1") as caller:
        assert await caller.code(CHEAP, advisor.token) == "RATE_LIMITED", "a user is one wherever it is"
        budgets.clock.move(seconds=61)
        assert await caller.code(CHEAP, advisor.token) == ""


async def test_the_anonymous_are_told_apart_by_address(settings: Settings, services: Services, schema: Schema) -> None:
    budgets = Budgets(settings, services, schema, anonymous_requests=2)

    async def codes(address: str, times: int = 1) -> list[str]:
        async with budgets.at(address) as caller:
            return [await caller.code(CHEAP) for _ in range(times)]

    assert await codes("203.0.113.7", 3) == ["", "", "RATE_LIMITED"]
    assert await codes("203.0.113.8") == [""]
    assert await codes("2001:db8:1:2::1", 2) == ["", ""]
    assert await codes("2001:db8:1:2:ffff::9") == ["RATE_LIMITED"], "a provider's customer has a network"
    assert await codes("2001:db8:1:3::1") == [""]
    assert await codes("::ffff:203.0.113.7") == ["RATE_LIMITED"], "the same machine, by another way"


async def test_every_answer_says_what_is_left(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema), await make.advisor()
    signed_in = {"authorization": f"Bearer {advisor.token}"}
    async with budgets.at() as caller:
        send = caller.client.request
        asked: list[tuple[int, dict[str, Any]]] = [
            (200, {"method": "POST", "json": {"query": CHEAP}}),
            (200, {"method": "POST", "json": {"query": "{ nothing }"}}),
            (400, {"method": "POST", "content": b"{", "headers": {"content-type": "application/json"}}),
            (415, {"method": "POST", "content": b"x", "headers": {"content-type": "text/plain"}}),
            (405, {"method": "DELETE"}),
            (406, {"method": "POST", "json": {}, "headers": {"accept": "image/png"}}),
            (413, {"method": "POST", "content": b" " * 2_000_000, "headers": {"content-type": "application/json"}}),
        ]
        left = Allowance().requests
        for status, request in asked:
            request["headers"] = {**request.get("headers", {}), **signed_in}
            answer = await send(url="/graphql", **request)
            left -= 1
            assert (answer.status_code, answer.headers["ratelimit-remaining"]) == (status, str(left))
            assert answer.headers["ratelimit-limit"] == "100"
            assert int(answer.headers["ratelimit-reset"]) == pytest.approx(60, abs=6)
        page = await send("GET", "/graphql", headers={"accept": "text/html"})
        assert page.headers["ratelimit-limit"] == str(Allowance().anonymous_requests)


async def test_pages_of_other_sites_are_shown_the_headers(
    settings: Settings, services: Services, schema: Schema
) -> None:
    elsewhere = settings.model_copy(update={"allowed_origins": ["https://desk.example"]})
    async with Budgets(elsewhere, services, schema).at() as caller:
        answer = await caller.client.post("/graphql", json={"query": CHEAP}, headers={"origin": "https://desk.example"})
    shown = {name.strip() for name in answer.headers["access-control-expose-headers"].lower().split(",")}
    assert shown >= {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after", "x-request-id"}


async def test_the_difference_to_what_came_is_given_back(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, cost=1_000), await make.advisor(clients=3)
    async with budgets.at() as caller:
        cost = await caller.cost(PAGE, advisor.token)
        assert (cost["requested"], cost["actual"], cost["remaining"]) == (REQUESTED, 14, 986)
        ends = datetime.fromisoformat(cost["resetAt"])
        assert timedelta(seconds=55) < ends - datetime.now(UTC) <= timedelta(seconds=60)
        assert (await caller.cost(PAGE, advisor.token))["remaining"] == 972
        assert (await caller.cost(CHEAP, advisor.token))["remaining"] == 972
        budgets.clock.move(minutes=1)
        assert (await caller.cost(PAGE, advisor.token))["remaining"] == 986


async def test_what_is_not_left_is_refused_and_takes_nothing(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, cost=120), await make.advisor(clients=1)
    async with budgets.at() as caller:
        assert (await caller.cost(PAGE, advisor.token))["remaining"] == 108
        refused = await caller.raw(PAGE, advisor.token)
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert refused.headers["retry-after"] == str(error["extensions"]["retryAfter"])
        assert "111 points, of which 108" in error["message"]
        small = await caller.cost("{ clients(first: 10) { nodes { id } } }", advisor.token)
        assert small["remaining"] == 96
        budgets.clock.move(minutes=1)
        assert await caller.code(PAGE, advisor.token) == ""


ORDERS: Final = "clients(first: %s) { nodes { orders(first: 50) { nodes { id } } } }"
WIDE: Final = "{ " + " ".join(f"a{n}: {ORDERS % 70}" for n in range(3)) + " }"
DEAR: Final = """{ households(first: 200) { nodes { wealth { allocation {
    byInstrument { instrument { prices(from: "2020-01-01") { on } } }
} } } } }"""


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        (f"{{ {ORDERS % 200} }}", "10411"),
        (f"query ($n: Int) {{ {ORDERS % '$n'} }}", "10411"),
        (WIDE, "10953"),
        (DEAR, None),
    ],
    ids=["nested", "variables", "aliases", "dear"],
)
async def test_what_costs_too_much_is_refused_before_it_runs(
    settings: Settings, services: Services, schema: Schema, make: Make, query: str, cost: str | None
) -> None:
    budgets, advisor = Budgets(settings, services, schema), await make.advisor(clients=1)
    seen: list[str] = []
    async with budgets.at() as caller:
        with services.doors.database.observed(seen.append):
            answer = await caller.raw(query, advisor.token, n=200)
        (error,) = answer.json()["errors"]
        assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
        (detail,) = error["extensions"]["details"]
        assert detail["field"] == "cost"
        assert "limit 10000" in detail["issue"]
        assert cost is None or f"requested {cost} points" in detail["issue"]
        assert "extensions" not in answer.json()
        assert [text for text in seen if "FROM clients" in text or "FROM households" in text] == []
        assert (await caller.cost(CHEAP, advisor.token))["remaining"] == Allowance().cost, "nothing was charged"


async def test_what_fails_on_its_way_is_not_given_back(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, cost=1_000), await make.advisor(clients=1)
    failing = '{ clients(first: 100) { nodes { id } } node(id: "client_0176eb860e807af2ba329e6646efdaad") { id } }'
    async with budgets.at() as caller:
        cost = await caller.cost(failing, advisor.token)
        assert cost["requested"] == cost["actual"] == REQUESTED + 1
        unread = "query ($n: Int!) { clients(first: $n) { nodes { id } } }"
        none_ran = (await caller.raw(unread, advisor.token, n="many")).json()
        assert none_ran["extensions"]["cost"]["actual"] == 0, "nothing ran"
        assert none_ran["extensions"]["cost"]["remaining"] == 1_000 - REQUESTED - 1


async def test_budgets_are_right_however_many_ask_at_once(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, cost=100_000), await make.advisor(clients=3)
    async with budgets.at() as caller:
        costs = await asyncio.gather(*(caller.cost(PAGE, advisor.token) for _ in range(40)))
        left = (await caller.cost(CHEAP, advisor.token))["remaining"]
    assert left == 100_000 - sum(cost["actual"] for cost in costs) == 100_000 - 40 * 14


async def test_no_more_than_the_budget_is_ever_out(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, cost=3 * REQUESTED), await make.advisor()
    async with budgets.at() as caller:
        # Who is known is charged before anything is waited for.
        assert await caller.code(PAGE, advisor.token) == ""
        codes = await asyncio.gather(*(caller.code(PAGE, advisor.token) for _ in range(12)))
        assert set(codes) == {"", "RATE_LIMITED"}, "those that came while others had it all"
        assert await caller.code(PAGE, advisor.token) == "", "what they gave back is there again"


async def test_service_accounts_are_told_apart_by_key(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    program = await partners.program(make, await make.book())
    second = await partners.key(make, program.user)
    budgets = Budgets(settings, services, schema, requests=2)
    async with budgets.at() as caller:
        assert [await caller.code(CHEAP, program.token) for _ in range(3)] == ["", "", "RATE_LIMITED"]
        assert await caller.code(CHEAP, second.token) == ""


async def test_tokens_that_are_none_are_the_addresss_affair(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, anonymous_requests=3), await make.advisor()
    async with budgets.at() as caller:
        codes = [await caller.code(CHEAP, f"no.token.{number}") for number in range(4)]
        assert codes == ["UNAUTHENTICATED"] * 3 + ["RATE_LIMITED"]
        assert await caller.code(CHEAP, advisor.token) == "", "whoever has signed in there goes on"


async def test_guessing_keys_ends_before_the_database_is_asked(
    settings: Settings, services: Services, schema: Schema
) -> None:
    budgets = Budgets(settings, services, schema, anonymous_requests=3)
    seen: list[str] = []
    async with budgets.at() as caller:
        for _ in range(3):
            assert await caller.code(CHEAP, new_text()) == "UNAUTHENTICATED"
        with services.doors.database.observed(seen.append):
            assert await caller.code(CHEAP, new_text()) == "RATE_LIMITED"
    assert seen == []


@pytest.mark.parametrize("token", ["stw_bad", new_text()[:-1]], ids=["no key", "cut short"])
async def test_what_has_not_the_form_of_a_key_is_counted_as_one_that_is_none(
    settings: Settings, services: Services, schema: Schema, token: str
) -> None:
    budgets = Budgets(settings, services, schema, anonymous_requests=3)
    async with budgets.at() as caller:
        codes = [await caller.code(CHEAP, token) for _ in range(5)]
        assert codes == ["UNAUTHENTICATED"] * 3 + ["RATE_LIMITED"] * 2
        assert await caller.code(CHEAP, new_text()) == "RATE_LIMITED", "keys of the right form are guesses no less"
    async with budgets.at("198.51.100.1") as caller:
        assert await caller.code(CHEAP, token) == "UNAUTHENTICATED"


async def test_sign_in_is_charged_to_the_address_whoever_asks(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, advisor = Budgets(settings, services, schema, anonymous_cost=160), await make.advisor()
    given = {"email": advisor.user.email, "password": PASSWORD}
    async with budgets.at() as caller:
        assert [await caller.code(SIGN_IN, advisor.token, **given) for _ in range(4)] == ["", "", "", "RATE_LIMITED"]
        assert await caller.code(SIGN_IN, **given) == "RATE_LIMITED"
        many = " ".join(
            f'a{n}: signIn(input: {{email: "a@b.example", password: "x"}}) {{ session {{ accessToken }} }}'
            for n in range(5)
        )
        assert await caller.code(f"mutation {{ {many} }}") == "QUERY_TOO_COMPLEX", (
            "more than an address has in a minute"
        )
    async with budgets.at("198.51.100.1") as caller:
        assert await caller.code(SIGN_IN, **given) == ""


async def test_memory_takes_no_round_trip(settings: Settings, services: Services, schema: Schema, make: Make) -> None:
    budgets, advisor = Budgets(settings, services, schema), await make.advisor()
    watch = Lendings()
    async with budgets.at() as caller:
        await caller.cost(CHEAP, advisor.token)
        services.doors.database.watch = watch
        await caller.cost(CHEAP, advisor.token)
    assert watch.count == 1, "the viewer alone was read"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"max_cost": 5_000, "cost_per_minute": 4_000}, "MAX_COST"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"rate_storage": "nowhere"}, "rate_storage"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**given)


def test_an_address_is_one_by_its_network() -> None:
    assert Caller.at("2001:db8::1") == Caller.at("2001:db8::2") != Caller.at("2001:db8:0:1::1")
    assert Caller.at("192.0.2.1") != Caller.at("192.0.2.2")
    assert Caller.at("") == Caller(Kind.ADDRESS, "")


async def test_windows_end_and_are_forgotten() -> None:
    clock = MovedClock()
    windows = MemoryWindows(clock)
    first = await windows.take("a", 10, 60, 7)
    assert (first.used, first.taken) == (7, True)
    assert (await windows.take("a", 10, 60, 4)).taken is False
    assert (await windows.take("a", 10, 60, 3)).used == 10
    assert (await windows.give_back("a", first.ends_at, 5)).used == 5
    clock.move(seconds=61)
    assert await windows.window("a") is None
    second = await windows.take("a", 10, 60, 1)
    assert (await windows.give_back("a", first.ends_at, 5)).used == 1, "what was taken from another window is no credit"
    assert (await windows.give_back("a", second.ends_at, 99)).used == 0
    clock.move(minutes=5)
    await windows.take("b", 10, 60, 1)
    assert await windows.reset() == 1


async def test_windows_in_memory_are_bounded() -> None:
    windows = MemoryWindows(MovedClock(), most=100)
    for number in range(1_000):
        await windows.take(str(number), 10, 60, 1)
    assert (await windows.reset() or 0) <= 100


async def test_they_are_a_storage_of_the_library() -> None:
    clock = MovedClock()
    limiter, item = Limiter(MemoryWindows(clock)), RateLimitItemPerMinute(3)
    assert [await limiter.hit(item, "a") for _ in range(4)] == [True, True, True, False]
    assert await limiter.test(item, "a") is False
    stats = await limiter.get_window_stats(item, "a")
    assert stats.remaining == 0
    assert stats.reset_time == pytest.approx(clock().timestamp() + 60, abs=2)
    await limiter.clear(item, "a")
    assert await limiter.hit(item, "a", cost=3)
    assert await limiter.windows.check()
    assert await limiter.windows.incr("b", 60, 5) == 5


async def test_an_end_client_and_an_admin_have_budgets_alike(
    settings: Settings, services: Services, schema: Schema, make: Make
) -> None:
    budgets, admin = Budgets(settings, services, schema, requests=1), await make.user(Role.ADMIN)
    async with budgets.at() as caller:
        assert [await caller.code(CHEAP, admin.token) for _ in range(2)] == ["", "RATE_LIMITED"]
        answer: httpx.Response = await caller.raw(CHEAP, admin.token)
        assert "stack" not in answer.text

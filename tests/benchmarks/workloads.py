"""What is asked of each server, as it understands it; and when two answers are the same."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, cycle, repeat
from typing import Any, Final

import msgspec
import orjson

from graph.demo_firm import DEMO_PASSWORD
from tests.benchmarks.load import LoadError, ask, request
from tests.benchmarks.measured import Server, Target
from tests.benchmarks.queries import FOR_POSTGRAPHILE, PLACE, QUERIES

FLOOR: Final = "floor"
BARE: Final = "bare handler"
STEWARD: Final = "Steward"
STOCK: Final = "Steward on graphql-core"
ORM: Final = "Strawberry with the ORM"
TUNED: Final = "the same, GC tuned"
MERCURIUS: Final = "Mercurius with JIT"
POSTGRAPHILE: Final = "PostGraphile 5"

TITLES: Final[Mapping[str, str]] = {
    "point": "a client by its id",
    "page": "a page of 50 clients",
    "tree": "50 clients with their portfolios, 10 positions of each, and their instruments",
    "orders": "the latest 200 orders with their instruments and portfolios",
    "place": "placing an order",
}
READERS: Final = (FLOOR, STEWARD, STOCK, ORM, TUNED, MERCURIUS, POSTGRAPHILE)
PLACERS: Final = (BARE, STEWARD, STOCK)
ADMIN: Final = "admin@steward.example"
ADVISOR: Final = "asha.mehta@steward.example"
# Of the portfolios that the advisor sees: each open order makes the next one of the same portfolio a little dearer.
MOST_PORTFOLIOS: Final = 2_000
PORTFOLIOS_OF_A_PAGE: Final = 200

SIGN_IN: Final = """mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) { session { accessToken } }
}"""
FIRST_CLIENT: Final = "{ clients(first: 1) { nodes { id } } }"
INSTRUMENT: Final = '{ instruments(first: 1, filter: {text: "HDFCBANK"}) { nodes { id } } }'
PORTFOLIOS: Final = """query ($after: String) {
    portfolios(first: 200, after: $after, filter: {statuses: [OPEN], baseCurrencies: ["INR"]}, orderBy: {field: NAME}) {
        nodes { id } pageInfo { hasNextPage endCursor }
    }
}"""
# As long for every order, so that only these bytes differ between two requests.
KEY: Final = "key-{:012d}"
# What PostGraphile shows of an id is the row's alone, and of a number all places of its column.
OUR_ID: Final = re.compile(r"[a-z]+_([0-9a-f]{32})")
ITS_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DECIMALS: Final = re.compile(r"-?[0-9]+\.[0-9]+")


class Known(msgspec.Struct, frozen=True):
    """Who asks, and for what."""

    admin: str
    advisor: str
    client_id: str
    instrument_id: str
    portfolio_ids: Sequence[str]


async def known(steward: Server) -> Known:
    """Sign in to the firm, and look for what is asked for."""
    admin, advisor = [await signed_in(steward.port, email) for email in (ADMIN, ADVISOR)]
    client = (await answer(steward.port, admin, FIRST_CLIENT))["clients"]["nodes"][0]
    instrument = (await answer(steward.port, admin, INSTRUMENT))["instruments"]["nodes"][0]
    return Known(admin, advisor, client["id"], instrument["id"], await _portfolios(steward, advisor))


async def signed_in(port: int, email: str) -> str:
    """The access token of somebody of the demo firm."""
    told = await answer(port, None, SIGN_IN, email=email, password=DEMO_PASSWORD)
    return str(told["signIn"]["session"]["accessToken"])


async def _portfolios(steward: Server, token: str) -> list[str]:
    found: list[str] = []
    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"] and len(found) < MOST_PORTFOLIOS:
        told = (await answer(steward.port, token, PORTFOLIOS, after=page["endCursor"]))["portfolios"]
        found += [node["id"] for node in told["nodes"]]
        page = told["pageInfo"]
    return found


async def answer(port: int, token: str | None, query: str, **variables: Any) -> Any:
    """What Steward answers on a port of loopback. Raises LoadError if it tells of errors."""
    return data_of(await ask(port, request("/graphql", _bearer(token), _body(query, variables))))


def _bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _body(query: str, variables: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"query": query, "variables": variables})


def data_of(body: bytes) -> Any:
    """What an answer gives. Raises LoadError if it tells of errors."""
    answer = orjson.loads(body)
    if answer.get("errors") or not answer.get("data"):
        raise LoadError(body.decode("utf-8", "replace")[:2000])
    return answer["data"]


def _placed(body: bytes) -> Any:
    data = data_of(body)
    if data["placeOrder"]["userErrors"]:
        raise LoadError(str(data))
    return data


def target(workload: str, server: Server, known_: Known) -> Target:
    """A server as it is asked for one of the answers."""
    if workload == "place":
        return Target(server, _placing(server, known_), _placed)
    variables = {"id": known_.client_id} if workload == "point" else {}
    if server.name == FLOOR:
        asked = request(f"/{workload}", {}, b"{}")
    elif server.name == POSTGRAPHILE:
        variables = {name: _row_id(value) for name, value in variables.items()}
        asked = request("/graphql", {}, _body(FOR_POSTGRAPHILE[workload], variables))
    else:
        token = known_.admin if server.name in {STEWARD, STOCK} else None
        asked = request("/graphql", _bearer(token), _body(QUERIES[workload], variables))
    return Target(server, repeat(asked), data_of)


def _row_id(node_id: str) -> str:
    digits = node_id.rpartition("_")[2]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _placing(server: Server, known_: Known) -> Iterator[bytes]:
    """An order for one portfolio after the other, each under a key of its own."""
    token = None if server.name == BARE else known_.advisor
    fields = {
        "instrumentId": known_.instrument_id,
        "side": "BUY",
        "kind": "LIMIT",
        "quantity": "1",
        "limitPrice": "100",
    }
    first = {"portfolioId": known_.portfolio_ids[0], "idempotencyKey": KEY.format(0)}
    whole = request("/graphql", _bearer(token), _body(PLACE, {"input": {**first, **fields}}))
    head, _, rest = whole.partition(first["portfolioId"].encode())
    middle, _, tail = rest.partition(first["idempotencyKey"].encode())
    for number, portfolio_id in zip(count(_place_of(server)), cycle(known_.portfolio_ids), strict=False):
        yield b"".join((head, portfolio_id.encode(), middle, KEY.format(number).encode(), tail))


def _place_of(server: Server) -> int:
    """Where the numbers of a server's keys begin: all place orders for the same advisor."""
    return PLACERS.index(server.name) * 10**9


def same(workload: str, ours: Any, theirs: Any, name: str) -> bool:
    """Whether a server answers what Steward does."""
    if workload == "place":
        return bool(_unnamed(ours) == _unnamed(theirs))
    if name == POSTGRAPHILE:
        return bool(normal(ours) == normal(theirs))
    return bool(ours == theirs)


def _unnamed(placed: Any) -> Any:
    """An order's own id is no other's."""
    return {**placed["placeOrder"], "order": {**placed["placeOrder"]["order"], "id": "order"}}


def normal(value: Any) -> Any:
    """An answer with ids and numbers as neither of the two writes them."""
    if isinstance(value, dict):
        return {name: normal(part) for name, part in value.items()}
    if isinstance(value, list):
        return [normal(part) for part in value]
    if not isinstance(value, str):
        return value
    if found := OUR_ID.fullmatch(value):
        return found[1]
    if ITS_ID.fullmatch(value):
        return value.replace("-", "")
    return value.rstrip("0").rstrip(".") if DECIMALS.fullmatch(value) else value

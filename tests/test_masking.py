import base64
import re
import signal
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graph import masking
from graph.masking import LONGEST, MASK, masked, masked_event, masked_value

UNHURRIED = settings(deadline=None)
LONG = 300_000
LETTERS = string.ascii_letters
URL_SAFE = LETTERS + string.digits + "-_"
WORDS = st.sampled_from(
    ["mail to", "the answer", "(", '{"to": "', "x=", "\n", "failed:", "user ", "'", " - ", "→ ", ""]
)


def token(shortest: int) -> st.SearchStrategy[str]:
    """An opaque text, as secrets.token_urlsafe makes them."""
    return st.text(URL_SAFE, min_size=shortest, max_size=64).filter(
        lambda text: text[0] not in "-_" and all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    )


def digits(count: int, first: str = string.digits) -> st.SearchStrategy[str]:
    return st.builds(
        str.__add__, st.sampled_from(first), st.text(string.digits, min_size=count - 1, max_size=count - 1)
    )


JWTS = st.builds(
    lambda subject, key: jwt.encode({"sub": str(subject)}, key, "HS256"),
    st.uuids(),
    st.binary(min_size=32, max_size=32),
)
NAMES = st.text(string.ascii_lowercase + string.digits + "._-", min_size=1, max_size=20)
EMAILS = st.builds(lambda name, host: f"{name}@{host}.example", NAMES, st.text(LETTERS, min_size=1, max_size=12))
PANS = st.from_regex(r"[A-Z]{5}[0-9]{4}[A-Z]", fullmatch=True)
PHONES = st.one_of(
    st.builds(lambda rest: f"+91 {rest[:5]} {rest[5:]}", digits(10, "6789")),
    st.builds(lambda rest: f"+91-{rest}", digits(10, "6789")),
    digits(10, "6789"),
    st.builds(lambda rest: f"{rest[:5]}-{rest[5:]}", digits(10, "6789")),
    st.builds(lambda rest: f"+1 ({rest[:3]}) {rest[3:6]}-{rest[6:]}", digits(10)),
    st.builds(lambda rest: f"+44{rest}", digits(10)),
)
TAX_IDS = st.one_of(
    PANS,
    PANS.map(str.lower),
    st.builds(lambda pan: f"27{pan}1Z5", PANS),
    st.from_regex(r"[0-9]{3}-[0-9]{2}-[0-9]{4}", fullmatch=True),
    st.from_regex(r"[STFG][0-9]{7}[A-Z]", fullmatch=True),
    st.from_regex(r"[0-9]{4} [0-9]{4} [0-9]{4}", fullmatch=True),
    digits(16),
)
# Each is a text and what of it may not be seen.
SECRETS = st.one_of(
    JWTS.map(lambda made: (made, made)),
    JWTS.map(lambda made: (f"jwt-{made}", made)),
    token(12).map(lambda made: (f"Bearer {made}", made)),
    token(12).map(lambda made: (f"authorization: Custom {made}", made)),
    token(12).map(lambda made: (f'{{"refreshToken": "{made}"}}', made)),
    token(12).map(lambda made: (f"password={made}", made)),
    token(12).map(lambda made: (f"stw_ab12cd_{made}", made)),
    token(12).map(lambda made: (f"https://app.example/reset?token={made}&x=1", made)),
    token(12).map(lambda made: (f"https://app.example/invite#code={made}", made)),
    token(32).map(lambda made: (f"https://app.example/verify/{made}", made)),
    token(32).map(lambda made: (made, made)),
    st.text(LETTERS + string.digits + "%!$-", min_size=4, max_size=30).map(
        lambda made: (f"postgresql+asyncpg://steward:{made}@db.example:5432/steward", f":{made}@")
    ),
    st.binary(min_size=20, max_size=20)
    .map(lambda made: base64.b32encode(made).decode())
    .filter(lambda made: re.search("[2-7]", made))
    .map(lambda made: (made, made)),
    EMAILS.map(lambda made: (made, made)),
    PHONES.map(lambda made: (made, made)),
    TAX_IDS.map(lambda made: (made, made)),
)


@UNHURRIED
@given(WORDS, SECRETS, WORDS)
def test_no_secret_stays_in_a_text(before: str, secret: tuple[str, str], after: str) -> None:
    text, hidden = secret
    assert hidden not in masked(f"{before} {text} {after}")


@UNHURRIED
@given(SECRETS, SECRETS)
def test_nor_in_any_place_of_a_line(first: tuple[str, str], second: tuple[str, str]) -> None:
    event = {
        "message": f"told {first[0]}",
        "plain": second[0],
        "nested": {"list": [1, {"deep": first[0]}], first[0]: None},
        "object": ValueError(second[0]),
    }
    told = str(masked_event(event))
    assert first[1] not in told
    assert second[1] not in told


@UNHURRIED
@given(st.text(), st.sampled_from(["password", "newPassword", "access_token", "x-api-key", "Cookie", "email", "taxId"]))
def test_what_is_named_a_secret_is_one_whatever_it_looks_like(value: str, name: str) -> None:
    assert masked_event({name: value, "inside": {name: [value]}}) == {name: MASK, "inside": {name: MASK}}


HARMLESS = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda made: made.hex),
    st.uuids().map(lambda made: f"client_{made.hex}"),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.decimals(min_value=0, max_value=10**9, places=2).map(str),
    st.integers(0, 10**8).map(str),
    st.sampled_from(
        [
            "job 12, execution.send(01a1fe81-4914-7ca7-8000-af9c88d805c3), failed at attempt 3: Unavailable",
            "the listener lost the database: ConnectionDoesNotExistError",
            "GET /graphql",
            "steward.jobs",
            "INE040A01034",
            "INSUFFICIENT_CASH",
            "ClientsWithPortfoliosAndPositions",
            "0.0.0.0 is served without TLS",
            "127.0.0.1:8000",
            "2026-11-21 14:08:02.527781+00:00",
            'File "/srv/steward/graph/context.py", line 88, in viewer',
        ]
    ),
)


@UNHURRIED
@given(HARMLESS)
def test_what_finds_a_request_stays(text: str) -> None:
    # A hexadecimal text may by chance have the form of something else.
    assume(not text.isdecimal() or len(text) < 9)
    assert masked(text) == text
    assert masked(f"see {text} there") == f"see {text} there"


def test_numbers_and_flags_stay() -> None:
    event: dict[str, Any] = {"ms": 12.5, "status": 200, "ok": True, "none": None, "cost": {"actual": 12}}
    assert masked_event(event) == event
    assert masked_event({"viewer": UUID(int=5)}) == {"viewer": str(UUID(int=5))}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            'null value in column "x"\nDETAIL:  Failing row contains (7, Asha Rao, 1980-02-29).\nnext',
            f'null value in column "x"\nDETAIL: {MASK}\nnext',
        ),
        (
            "invalid input for query argument $3: 'Asha Rao' (expected a UUID)",
            f"invalid input for query argument $3: {MASK}",
        ),
    ],
)
def test_the_databases_words_tell_no_row(text: str, left: str) -> None:
    assert masked(text) == left


def test_an_error_of_the_driver_is_masked_as_it_prints_itself() -> None:
    error = asyncpg.UniqueViolationError('duplicate key value violates unique constraint "users_email_key"')
    error.detail = "Key (name)=(Asha Rao) already exists."
    assert "Asha" in str(error)
    assert "Asha" not in masked(str(error))


@settings(UNHURRIED, max_examples=20)
@given(token(32), st.integers(LONGEST - 80, LONGEST + 40))
def test_a_secret_across_the_cut_is_masked_too(secret: str, at: int) -> None:
    shown = masked(f"{'x ' * (at // 2)}{secret} end")
    assert all(secret[place : place + 8] not in shown for place in range(len(secret) - 8))
    assert len(shown) <= LONGEST + 1


@contextmanager
def given_up(after: int) -> Iterator[None]:
    """Raise TimeoutError after so many seconds, even within a regular expression."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(after)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "A1",
        "://",
        "://a:b",
        "a@",
        "@.",
        "eyJ",
        "eyJaaaa.",
        "token",
        "token: ",
        "?a=",
        "+1 ",
        "9" * 9,
        '"',
        "-_",
        "A2",
    ],
)
def test_a_long_text_takes_no_longer_for_being_built_against_it(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Read in time that grows with its length, it takes a second; read anew from each of its letters, many minutes.
    monkeypatch.setattr(masking, "LONGEST", LONG)
    with given_up(after=60):
        masked(piece * (LONG // len(piece)))


@pytest.mark.parametrize(
    "more",
    [{}, {"who": "asha@example.org"}, {"password": "abc"}, {"codes": ["+91 98765 43210"]}, {"two": "Bearer\nabcdefgh"}],
)
def test_a_line_is_masked_as_its_fields_are(more: dict[str, Any]) -> None:
    line = {"time": "2026-01-31T09:30:00Z", "message": "operation", "ms": 1.5, "viewer": None, "ok": True, **more}
    told = masked_event(line)
    assert list(told) == list(line)
    hidden = {name: MASK if name == "password" else masked_value(value) for name, value in line.items()}
    assert told == hidden | {"time": line["time"]}

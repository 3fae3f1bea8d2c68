"""Tokens while their secret is exchanged for another."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest

from domain.errors import Unauthenticated
from domain.identity import Lives, Tokens

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
USER, SESSION = UUID(int=1), UUID(int=2)
FIRST, SECOND, THIRD = (f"secret number {number} of at least thirty-two characters" for number in "123")


def tokens(secret: str, *older: str) -> Tokens:
    return Tokens(secret, Lives(), older)


def reason(reader: Tokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        reader.read(token, NOW)
    return refused.value.reason


def test_what_older_secrets_have_signed_is_read_until_it_ends() -> None:
    old, _ = tokens(FIRST).access(USER, SESSION, NOW)
    older, _ = tokens(THIRD).access(USER, SESSION, NOW)
    exchanged = tokens(SECOND, FIRST, THIRD)
    for token in (old, older):
        assert exchanged.read(token, NOW).session_id == SESSION
        with pytest.raises(Unauthenticated) as ended:
            exchanged.read(token, NOW + timedelta(hours=1))
        assert ended.value.reason == "EXPIRED"


def test_the_newest_signs_and_the_older_ones_do_not() -> None:
    token, _ = tokens(SECOND, FIRST).access(USER, SESSION, NOW)
    assert tokens(SECOND).read(token, NOW).user_id == USER
    assert reason(tokens(FIRST), token) == "INVALID"


def test_a_secret_that_is_taken_away_opens_nothing() -> None:
    token, _ = tokens(FIRST).access(USER, SESSION, NOW)
    assert reason(tokens(SECOND), token) == "INVALID"
    assert reason(tokens(SECOND, THIRD), token) == "INVALID"


def test_a_statement_is_good_for_its_audience_alone() -> None:
    signer = tokens(SECOND, FIRST)
    said, ends = tokens(FIRST).stating("another audience", {"sub": "x", "more": "y"}, NOW, timedelta(minutes=1))
    assert ends == NOW + timedelta(minutes=1)
    assert signer.stated("another audience", said, ("sub", "more"), NOW) == {"sub": "x", "more": "y"}
    assert reason(signer, said) == "INVALID"
    access, _ = signer.access(USER, SESSION, NOW)
    for token, names, moment in (
        (access, ("sub",), NOW),
        (said, ("else",), NOW),
        (said, ("sub",), ends),
        ("x", (), NOW),
    ):
        with pytest.raises(Unauthenticated):
            signer.stated("another audience", token, names, moment)


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_another_algorithm_is_none_whichever_secret_signs(algorithm: str) -> None:
    claims = {"sub": str(USER), "sid": str(SESSION), "iat": NOW, "exp": NOW + timedelta(hours=1)}
    whole = {**claims, "iss": "steward", "aud": "steward"}
    for secret in (FIRST, SECOND):
        token = jwt.encode(whole, "" if algorithm == "none" else secret * 2, algorithm=algorithm)
        assert reason(tokens(SECOND, FIRST), token) == "INVALID"

import asyncio
from contextlib import suppress
from threading import Lock
from time import sleep
from uuid import UUID

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refusal, RefusalCode
from domain.identity import Credential, Passwords, check_password
from domain.identity.passwords import AT_ONCE, LONGEST_PASSWORD
from tests.support.calls import counted_calls

# Of functions, to judge one password.
MOST_CALLS = 10**6
STRONG = "another phrase nobody says 7"


def refusal_of(password: str, *about: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_password(password, *about, field="password")
    assert caught.value.code is RefusalCode.WEAK_PASSWORD
    assert caught.value.field == ("input", "password")
    return caught.value


@pytest.mark.parametrize(
    "password",
    [
        STRONG,
        "correct horse battery staple",
        "tgtvhbuijnok3",
        "рассвет над Мумбаи",
        "नमस्ते मुंबई की सुबह",
        "🌵🚀🎻🦉🍋🧭🪁🧩🥁🛶🪴🎲",
        "lower case alone is as good as any",
        " blanks count at either end ",
        STRONG * 9,
        "a" * 200 + " but then something else follows",
    ],
)
def test_a_password_needs_length_and_nothing_else(password: str) -> None:
    check_password(password, "Meera Joshi", "meera.joshi@steward.example")


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "iloveyouforever",
        "qwertyuiop12",
        "q1w2e3r4t5y6",
        "1234567890123456",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "a" * LONGEST_PASSWORD,
        "passwordpasswordpassword",
        "P4$$w0rdP4$$w0rd",
        "stewardsteward",
        "Steward12345",
        "drawets12345",
        "MeeraJoshi1985",
        "meera.joshi.2",
        "JoshiMeeraJoshi",
    ],
)
def test_a_guess_is_refused_as_a_password(password: str) -> None:
    assert "guess" in refusal_of(password, "Meera Joshi", "meera.joshi@steward.example").message


def test_what_is_a_guess_depends_on_whose_password_it_is() -> None:
    check_password("ZebulonQuist9", "Meera Joshi")
    refusal_of("ZebulonQuist9", "Zebulon Quist")
    # Nothing of one user is remembered for the next.
    check_password("ZebulonQuist9", "Meera Joshi")


def test_a_password_is_neither_short_nor_endless() -> None:
    assert "at least 12" in refusal_of("x7!kQ9#zL2p").message
    assert "at most 256" in refusal_of(STRONG * 10).message
    # Counted as it will be hashed: this one sign is eighteen letters.
    check_password("\ufdfa lq7")
    assert "at most 256" in refusal_of("\ufdfa" * 100).message


@pytest.mark.parametrize(
    "password",
    [
        "(4@8({[<369!1|70$5+7%2" * 11,
        "4@8({[<369!1|70$5+7%2abc",
        "a" * 256,
        "ab" * 128,
        "1" * 256,
        "".join(chr(0x4E00 + each) for each in range(256)),
        "x" * 100_000,
        "\ufdfa" * 100_000,
    ],
    ids=lambda password: password[:12],
)
def test_no_password_takes_long_to_judge(password: str) -> None:
    with counted_calls() as calls, suppress(Refusal):
        check_password(password, "Meera Joshi")
    assert calls.count < MOST_CALLS


@given(st.text(max_size=300), st.text(max_size=40))
def test_every_text_is_judged(password: str, about: str) -> None:
    try:
        check_password(password, about)
    except Refusal as refusal:
        assert refusal.code is RefusalCode.WEAK_PASSWORD  # noqa: PT017 - either answer is right


async def test_letters_are_the_same_however_they_are_composed() -> None:
    passwords = Passwords(argon2.PasswordHasher(1, 8, 1))
    known = Credential(UUID(int=1), await passwords.chosen("Zürich sits by ﬁne water"))
    assert await passwords.matches(known, "Zu\u0308rich sits by fine water")
    assert not await passwords.matches(known, "Zurich sits by fine water")
    assert not await passwords.matches(known, "x" * 100_000)
    assert not await passwords.matches(None, "Zürich sits by ﬁne water")


class Crowded(argon2.PasswordHasher):
    """Tells how many passwords were ever hashed at once."""

    def __init__(self) -> None:
        super().__init__(1, 8, 1)
        self._lock, self._now, self.most = Lock(), 0, 0

    def verify(self, *_: object) -> bool:  # type: ignore[override] # of this test alone
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        sleep(0.02)
        with self._lock:
            self._now -= 1
        return True


async def test_few_passwords_are_hashed_at_once_whoever_comes() -> None:
    hasher = Crowded()
    passwords = Passwords(hasher)
    answers = await asyncio.gather(*(passwords.matches(None, STRONG) for _ in range(12)))
    assert answers == [False] * 12
    assert hasher.most == AT_ONCE

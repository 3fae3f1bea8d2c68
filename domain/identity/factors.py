"""The second factor: an authenticator's codes (TOTP, RFC 6238), and recovery codes for when it is lost.

Its secret is encrypted for its user. A code works once: the step of the last one is kept, under the row's lock.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final, Protocol
from uuid import UUID

import msgspec
import pyotp
import segno
from pyotp.exceptions import OTPVerificationError

from domain.access import Action, Viewer, require, require_recent
from domain.audit import Trace
from domain.entities import Entity
from domain.errors import Refusal, RefusalCode
from domain.identity.entities import User
from domain.work import Work

# What the authenticator shows beside the user's address.
ISSUER_NAME: Final = "Steward"
DIGITS: Final = 6
# Steps of 30 seconds by which the clock of a telephone may differ.
WINDOW: Final = 1
RECOVERY_CODES: Final = 10
# Without signs that are taken for others. Sixteen of these hold 79 bits, more than can be guessed from a fast hash.
ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH: Final = 16
GROUP: Final = 4
NO_STEP: Final = -1


class FactorMethod(StrEnum):
    """By what a second factor is proved.

    TOTP: By the six digits that an authenticator shows.
    RECOVERY_CODE: By a recovery code, each of which works once.
    """

    TOTP = "TOTP"
    RECOVERY_CODE = "RECOVERY_CODE"


class SecondFactor(Entity, frozen=True):
    """A user's second factor; `id` is the user's.

    `sealed` is the secret that counts, `pending` one that is not confirmed yet, both encrypted for the user.
    `last_step` is that of the last code that was used.
    """

    id: UUID
    sealed: bytes | None
    pending: bytes | None
    confirmed_at: datetime | None
    last_step: int

    secret: ClassVar[frozenset[str]] = frozenset({"sealed", "pending"})
    of_user: ClassVar[str] = "id"

    @property
    def enabled(self) -> bool:
        """Whether it counts."""
        return self.sealed is not None


class RecoveryCode(Entity, frozen=True):
    """A recovery code, stored as its SHA-256: it has random bits enough for a fast hash."""

    id: UUID
    user_id: UUID
    digest: str
    created_at: datetime
    used_at: datetime | None

    secret: ClassVar[frozenset[str]] = frozenset({"digest"})


class SignInChallenge(Entity, frozen=True):
    """A sign-in whose first proof was good, and that waits for the second factor until `expires_at`."""

    id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class FactorState(Entity, frozen=True):
    """What a user may know of its second factor."""

    confirmed_at: datetime | None
    recovery_codes_left: int


class Factors(Protocol):
    """The storage of second factors, and of sign-ins that wait for them."""

    async def find(self, user_id: UUID) -> SecondFactor | None: ...  # noqa: D102 - the signature says it, here and below
    async def held(self, user_id: UUID) -> SecondFactor: ...  # noqa: D102
    async def save(self, before: SecondFactor, after: SecondFactor) -> None: ...  # noqa: D102
    async def replace_codes(self, user_id: UUID, codes: Sequence[RecoveryCode]) -> None: ...  # noqa: D102
    async def unused_code(self, user_id: UUID, digest: str) -> RecoveryCode | None: ...  # noqa: D102
    async def use_code(self, before: RecoveryCode, after: RecoveryCode) -> None: ...  # noqa: D102
    async def ask(self, challenge: SignInChallenge) -> None: ...  # noqa: D102
    async def asked(self, challenge_id: UUID) -> SignInChallenge | None: ...  # noqa: D102
    async def answer(self, before: SignInChallenge, after: SignInChallenge) -> None: ...  # noqa: D102
    async def end_challenges(self, user_id: UUID, now: datetime) -> None: ...  # noqa: D102


class Enrolment(msgspec.Struct, frozen=True):
    """A secret for an authenticator: as text, as an otpauth URI, and as a QR code of that URI, in SVG."""

    secret: str
    uri: str
    qr: str


def _digest(user_id: UUID, code: str) -> str:
    return hashlib.sha256(user_id.bytes + code.encode()).hexdigest()


def _typed(code: str) -> str:
    """A code without what people type in between."""
    return "".join(mark for mark in code if not mark.isspace() and mark != "-").upper()


async def prove(work: Work, user_id: UUID, code: str) -> FactorMethod | None:
    """By what a code proves a user's second factor, once; nothing if it does not."""
    factor = await work.factors.held(user_id)
    given = _typed(code)
    if factor.sealed is None:
        return None
    if len(given) != DIGITS:
        return await _recovered(work, user_id, given)
    step = await _step(work, user_id, factor.sealed, given)
    if step <= factor.last_step:
        return None
    await work.factors.save(factor, msgspec.structs.replace(factor, last_step=step))
    return FactorMethod.TOTP


async def _step(work: Work, user_id: UUID, sealed: bytes, code: str) -> int:
    """The step of time that a code belongs to; NO_STEP if to none that is near."""
    totp = pyotp.TOTP(await work.vault.open(user_id, sealed), digits=DIGITS)
    try:
        return totp.verify_and_get_timecode(code, for_time=work.now, valid_window=WINDOW)
    except OTPVerificationError:
        return NO_STEP


async def _recovered(work: Work, user_id: UUID, code: str) -> FactorMethod | None:
    found = await work.factors.unused_code(user_id, _digest(user_id, code))
    if found is None:
        return None
    await work.factors.use_code(found, msgspec.structs.replace(found, used_at=work.now))
    return FactorMethod.RECOVERY_CODE


async def enrol(work: Work, user: User) -> Enrolment:
    """A new secret for a user, which counts once a code of it has confirmed it; the one before counts until then."""
    secret = pyotp.random_base32()
    factor = await work.factors.held(user.id)
    sealed = await work.vault.seal(user.id, secret)
    await work.factors.save(factor, msgspec.structs.replace(factor, pending=sealed))
    uri = pyotp.TOTP(secret, digits=DIGITS).provisioning_uri(name=user.email, issuer_name=ISSUER_NAME)
    return Enrolment(secret, uri, segno.make(uri, error="m").svg_inline(scale=4, light="white"))


async def confirm(work: Work, user_id: UUID, code: str) -> list[str] | None:
    """Have the pending secret count, if the code is of it, and hand out recovery codes; refuses NO_SECOND_FACTOR."""
    factor = await work.factors.held(user_id)
    if factor.pending is None:
        raise none_begun()
    step = await _step(work, user_id, factor.pending, _typed(code))
    if step == NO_STEP:
        return None
    counting = SecondFactor(user_id, factor.pending, None, work.now, step)
    await work.factors.save(factor, counting)
    return await hand_out(work, user_id)


async def hand_out(work: Work, user_id: UUID) -> list[str]:
    """New recovery codes, in the place of all that there were; they are stored as digests alone."""
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH)) for _ in range(RECOVERY_CODES)]
    rows = [RecoveryCode(work.new_id(), user_id, _digest(user_id, code), work.now, None) for code in codes]
    await work.factors.replace_codes(user_id, rows)
    facts = {"count": len(codes)}
    work.trace(Trace("identity.recovery_codes_made", "SecondFactor", user_id, facts, user_id=user_id))
    return [_grouped(code) for code in codes]


def _grouped(code: str) -> str:
    return "-".join(code[at : at + GROUP] for at in range(0, len(code), GROUP))


async def begin_second_factor(work: Work, viewer: Viewer) -> Enrolment:
    """A new secret for the viewer's authenticator. Refuses: REAUTHENTICATION_NEEDED."""
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    return await enrol(work, await work.identities.user(viewer.user_id))


async def replace_recovery_codes(work: Work, viewer: Viewer) -> list[str]:
    """New recovery codes for the viewer; the old ones work no longer.

    Refuses: REAUTHENTICATION_NEEDED, NO_SECOND_FACTOR.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    if not (await work.factors.held(viewer.user_id)).enabled:
        raise none_begun()
    return await hand_out(work, viewer.user_id)


async def remove(work: Work, user_id: UUID) -> None:
    """Have a user do without a second factor and its recovery codes. Refuses: NO_SECOND_FACTOR."""
    factor = await work.factors.held(user_id)
    if not factor.enabled:
        raise none_begun()
    await work.factors.save(factor, SecondFactor(user_id, None, None, None, NO_STEP))
    await work.factors.replace_codes(user_id, [])


def none_begun() -> Refusal:
    """The answer where there is no second factor, and none is about to be."""
    return Refusal(RefusalCode.NO_SECOND_FACTOR, "There is no second factor; begin one by beginSecondFactor.")


def wrong_code() -> Refusal:
    """The answer to a code that proves nothing."""
    return Refusal(RefusalCode.WRONG_CODE, "The code is wrong, too old, or was used before.", ("input", "code"))

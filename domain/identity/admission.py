"""Letting a user in whose first proof was good, by whatever means it came: a password, an invitation, a provider.

Where there is a second factor, or has to be one, the first proof gives a challenge alone: a signed token of an audience
of its own, that opens nothing, and that the second proof turns into a session, once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from domain.access import NOBODY, Action, Role, Viewer, require, require_recent
from domain.audit import Trace
from domain.errors import Fault, RateLimited, Refusal, RefusalCode, Unauthenticated
from domain.identity import attempts, factors
from domain.identity.attempts import Key, Limits
from domain.identity.entities import Grant, User, UserStatus
from domain.identity.factors import Enrolment, FactorMethod, SignInChallenge
from domain.identity.sessions import authenticated, end_other_sessions, open_session
from domain.identity.tokens import Tokens
from domain.origin import Origin
from domain.work import Work

AUDIENCE: Final = "steward: second factor"
LIFE: Final = timedelta(minutes=5)
CLAIMS: Final = ("sub", "cid")


class Challenge(msgspec.Struct, frozen=True):
    """A further proof that is asked for before there is a session; `token` is sent along with it.

    With `enrolment_needed` the user has no second factor yet, and gets the session by confirming one.
    """

    token: str
    expires_at: datetime
    methods: tuple[FactorMethod, ...]
    enrolment_needed: bool


class Admission(msgspec.Struct, frozen=True):
    """Either a session, or the challenge that stands before it."""

    grant: Grant | None = None
    challenge: Challenge | None = None


class Admissions(msgspec.Struct, frozen=True):
    """By which rules users are let in; `needing_factor` are the roles that must have a second factor."""

    tokens: Tokens
    needing_factor: frozenset[Role] = frozenset()
    limits: Limits = Limits()

    def account(self, address: str, *, proof: str = "account") -> Key:
        """What attempts on an account are counted by, whether there is one or not."""
        return attempts.of_account(self.tokens.blinded(address), self.limits, proof=proof)

    def factor(self, user_id: UUID) -> Key:
        """What attempts on a second factor are counted by."""
        return attempts.of_account(str(user_id), self.limits, proof="factor")

    def address(self, origin: Origin) -> Key:
        """What attempts from an address are counted by."""
        return attempts.of_address(origin, self.limits)


class Confirmed(msgspec.Struct, frozen=True):
    """A second factor that counts from now on: its recovery codes, and the session, if it was enrolled at sign-in."""

    recovery_codes: Sequence[str]
    grant: Grant | None = None


async def admit(work: Work, admissions: Admissions, user_id: UUID, origin: Origin) -> Admission:
    """Let in a user whose first proof was good, or ask for the second; raises Unauthenticated for one not active."""
    # Its lock, so that a session which begins while the user is shut out ends with the others.
    user = await work.accounts.locked(user_id)
    if user.status is not UserStatus.ACTIVE or user.role is Role.SERVICE:
        raise Unauthenticated("The address or the password is wrong.", reason="INVALID")
    factor = await work.factors.find(user_id)
    enabled = factor is not None and factor.enabled
    if enabled or user.role in admissions.needing_factor:
        return Admission(challenge=await _ask(work, admissions, user, enabled=enabled))
    return Admission(grant=await open_session(work, admissions.tokens, user_id, origin))


async def _ask(work: Work, admissions: Admissions, user: User, *, enabled: bool) -> Challenge:
    challenge_id = work.new_id()
    claims = dict(zip(CLAIMS, (str(user.id), str(challenge_id)), strict=True))
    token, expires_at = admissions.tokens.stating(AUDIENCE, claims, work.now, LIFE)
    work.acts_for(user.id)
    await work.factors.ask(SignInChallenge(challenge_id, user.id, work.now, expires_at, None))
    methods = tuple(FactorMethod) if enabled else ()
    return Challenge(token, expires_at, methods, enrolment_needed=not enabled)


async def _asked(work: Work, admissions: Admissions, token: str) -> SignInChallenge:
    """The challenge that a token stands for, with its lock; raises Unauthenticated."""
    claims = admissions.tokens.stated(AUDIENCE, token, CLAIMS, work.now)
    challenge = await work.factors.asked(UUID(claims["cid"]))
    if challenge is None or challenge.used_at is not None or challenge.expires_at <= work.now:
        raise Unauthenticated("The challenge was answered, or has ended; sign in again.", reason="INVALID")
    return challenge


async def complete_sign_in(
    work: Work, admissions: Admissions, token: str, code: str, origin: Origin
) -> Grant | Fault | Refusal:
    """Begin the session that a challenge stands before; raises Unauthenticated.

    The refusal of a code is returned, for that it was tried must be committed. Refuses: WRONG_CODE.
    """
    challenge = await _asked(work, admissions, token)
    if refused := await _tried(work, admissions, challenge.user_id, code, origin):
        return refused
    return await _let_in(work, admissions, challenge, origin)


async def _tried(
    work: Work, admissions: Admissions, user_id: UUID, code: str, origin: Origin
) -> RateLimited | Refusal | None:
    """Why a code proves nothing, or nothing if it proves the second factor."""
    limited = await _count(work, admissions, user_id, origin)
    if limited or await factors.prove(work, user_id, code):
        return limited
    return _wrong(work, user_id, origin)


async def _count(work: Work, admissions: Admissions, user_id: UUID, origin: Origin) -> RateLimited | None:
    limited = await attempts.count(work, admissions.address(origin), admissions.factor(user_id))
    if limited:
        failure(work, "RATE_LIMITED", user_id, origin)
    return limited


def _wrong(work: Work, user_id: UUID, origin: Origin) -> Refusal:
    failure(work, "WRONG_CODE", user_id, origin)
    return factors.wrong_code()


def failure(
    work: Work, outcome: str, user_id: UUID | None, origin: Origin, *, action: str = "sign_in_failed", **facts: str
) -> None:
    """Have the audit trail tell of a proof that was tried in vain, where a user is known with what it came from."""
    told = {"device": origin.device, "address": origin.address}
    work.trace(
        Trace(
            f"identity.{action}",
            "User",
            user_id,
            {"outcome": outcome, **facts},
            told,
            # Where nobody is known it is sealed all the same, for nobody: it takes as long, and investigators need it.
            person_id=user_id or NOBODY,
            user_id=user_id,
        )
    )


async def _let_in(work: Work, admissions: Admissions, challenge: SignInChallenge, origin: Origin) -> Grant:
    await work.factors.answer(challenge, msgspec.structs.replace(challenge, used_at=work.now))
    await attempts.succeeded(work, admissions.factor(challenge.user_id), admissions.address(origin))
    return await open_session(work, admissions.tokens, challenge.user_id, origin, second_factor=True)


async def enrol_at_sign_in(work: Work, admissions: Admissions, token: str) -> Enrolment:
    """A secret for the authenticator of a user that needs a second factor before it is let in.

    Raises Unauthenticated, for one that has a second factor too.
    """
    challenge = await _asked(work, admissions, token)
    await _check_none(work, challenge)
    work.acts_for(challenge.user_id)
    return await factors.enrol(work, await work.identities.user(challenge.user_id))


async def _check_none(work: Work, challenge: SignInChallenge) -> None:
    # Under its lock: a password alone must never put another factor in the place of one that counts.
    if (await work.factors.held(challenge.user_id)).enabled:
        raise Unauthenticated("There is a second factor: complete the sign-in with its code.", reason="INVALID")


async def confirm_at_sign_in(
    work: Work, admissions: Admissions, token: str, code: str, origin: Origin
) -> Confirmed | Fault | Refusal:
    """Have the second factor of a user count, and let it in. Refuses: WRONG_CODE, NO_SECOND_FACTOR."""
    challenge = await _asked(work, admissions, token)
    if limited := await _count(work, admissions, challenge.user_id, origin):
        return limited
    await _check_none(work, challenge)
    codes = await factors.confirm(work, challenge.user_id, code)
    if codes is None:
        return _wrong(work, challenge.user_id, origin)
    return Confirmed(codes, await _let_in(work, admissions, challenge, origin))


async def confirm_second_factor(
    work: Work, viewer: Viewer, admissions: Admissions, code: str, origin: Origin
) -> Confirmed | Fault | Refusal:
    """Have the viewer's new second factor count; its other sessions, which have not proved it, end.

    Refuses: REAUTHENTICATION_NEEDED, WRONG_CODE, NO_SECOND_FACTOR.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    if limited := await _count(work, admissions, viewer.user_id, origin):
        return limited
    codes = await factors.confirm(work, viewer.user_id, code)
    if codes is None:
        return _wrong(work, viewer.user_id, origin)
    await attempts.succeeded(work, admissions.factor(viewer.user_id), admissions.address(origin))
    await end_other_sessions(work, viewer)
    await authenticated(work, viewer, second_factor=True)
    return Confirmed(codes)


async def disable_second_factor(work: Work, viewer: Viewer, admissions: Admissions) -> None:
    """Do without a second factor from now on.

    Refuses: REAUTHENTICATION_NEEDED, SECOND_FACTOR_REQUIRED, NO_SECOND_FACTOR.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    if viewer.role in admissions.needing_factor:
        raise Refusal(
            RefusalCode.SECOND_FACTOR_REQUIRED, "Your role needs a second factor; begin another in its place instead."
        )
    await factors.remove(work, viewer.user_id)


async def prove_second_factor(
    work: Work, admissions: Admissions, user_id: UUID, code: str, origin: Origin
) -> RateLimited | Refusal | None:
    """Why a user that has a second factor has not proved it; nothing if it has, or has none to prove."""
    factor = await work.factors.find(user_id)
    if factor is None or not factor.enabled:
        return None
    refused = await _tried(work, admissions, user_id, code, origin)
    if refused is None:
        await attempts.succeeded(work, admissions.factor(user_id), admissions.address(origin))
    return refused

"""Signing in by a password, and proving it again: counted first, then looked at, then told of in the audit trail.

The password is looked at between two transactions, for its hash costs more than a connection should wait. Whether an
address is known makes no difference that can be seen: the same statements, the same hash, the same answer.
"""

from typing import Final

import msgspec

from domain.access import Action, Viewer, require
from domain.errors import Fault, RateLimited, Refusal, RefusalCode, Unauthenticated
from domain.identity import attempts, letters
from domain.identity.accounts import end_ways_back
from domain.identity.admission import Admission, Admissions, admit, failure, prove_second_factor
from domain.identity.entities import Account, Credential, Session
from domain.identity.sessions import authenticated, end_other_sessions
from domain.origin import Origin
from domain.work import Work

# RFC 5321's limit of a path; what is longer belongs to nobody.
LONGEST_ADDRESS: Final = 254


class Tried(msgspec.Struct, frozen=True):
    """A password that is tried: of which address, from where, and whose that is, if anybody's.

    For a viewer who proves it `again`, `about` are texts on it, whose words make no good new password.
    """

    address: str
    origin: Origin
    known: Account | None
    again: bool = False
    about: tuple[str, ...] = ()

    @property
    def credential(self) -> Credential | None:
        """What the password has to match, if it may match anything."""
        return self.known.credential if self.known else None


async def try_sign_in(work: Work, admissions: Admissions, address: str, origin: Origin) -> Tried | RateLimited:
    """Count an attempt to sign in, before its password is looked at."""
    tried = address.strip().lower()[:LONGEST_ADDRESS]
    return await _counted(work, admissions, Tried(tried, origin, await work.identities.account(tried)))


async def try_own_password(work: Work, viewer: Viewer, admissions: Admissions, origin: Origin) -> Tried | RateLimited:
    """Count an attempt of the viewer to prove its password, before that is looked at."""
    require(viewer, Action.MANAGE_ACCOUNT)
    known = await work.identities.account_of(viewer.user_id)
    user = await work.identities.user(viewer.user_id)
    return await _counted(work, admissions, Tried(user.email, origin, known, again=True, about=(user.name, user.email)))


async def _counted(work: Work, admissions: Admissions, tried: Tried) -> Tried | RateLimited:
    limited = await attempts.count(work, admissions.address(tried.origin), admissions.account(tried.address))
    if limited:
        await _failed(work, admissions, tried, "RATE_LIMITED")
    return limited or tried


async def _failed(work: Work, admissions: Admissions, tried: Tried, outcome: str) -> None:
    user_id = tried.known.id if tried.known else None
    action = "reauthentication_failed" if tried.again else "sign_in_failed"
    account = admissions.tokens.blinded(tried.address)
    failure(work, outcome, user_id, tried.origin, action=action, account=account)


async def _proved(work: Work, admissions: Admissions, tried: Tried) -> None:
    await attempts.succeeded(work, admissions.account(tried.address), admissions.address(tried.origin))


async def sign_in(work: Work, admissions: Admissions, tried: Tried, *, matches: bool) -> Admission | Unauthenticated:
    """Let in whoever has given the right password, or refuse, the same for all that may be wrong."""
    if not matches or tried.known is None or not await _still_stands(work, tried.known):
        await _failed(work, admissions, tried, _outcome(tried))
        return Unauthenticated("The address or the password is wrong.", reason="INVALID")
    await _proved(work, admissions, tried)
    return await admit(work, admissions, tried.known.id, tried.origin)


async def _still_stands(work: Work, known: Account) -> bool:
    """Whether an account's password is still the one that was looked at, asked under the user's lock.

    It may have been changed in the meantime, and then the sessions that it had opened were ended.
    """
    await work.accounts.locked(known.id)
    present = await work.identities.account_of(known.id)
    return present.credential == known.credential


def _outcome(tried: Tried) -> str:
    """Why a sign-in failed, as the audit trail tells it."""
    if tried.known is None:
        return "UNKNOWN_ADDRESS"
    return "WRONG_PASSWORD" if tried.credential else "NO_PASSWORD_SIGN_IN"


async def reauthenticate(
    work: Work, viewer: Viewer, admissions: Admissions, tried: Tried, *, matches: bool, code: str
) -> Session | Fault | Refusal:
    """Note that the viewer has proved anew who it is: by its password, its second factor, or both if it has both.

    Refuses: WRONG_PASSWORD, WRONG_CODE, NO_SECOND_FACTOR.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    if tried.known and tried.credential and not (matches and await _still_stands(work, tried.known)):
        return await _wrong_password(work, admissions, tried, "password")
    factor = await work.factors.find(viewer.user_id)
    has_factor = factor is not None and factor.enabled
    if not tried.credential and not has_factor:
        return Refusal(RefusalCode.NO_SECOND_FACTOR, "You have no password and no second factor: sign in anew instead.")
    if refused := await prove_second_factor(work, admissions, viewer.user_id, code, tried.origin):
        return refused
    await _proved(work, admissions, tried)
    return await authenticated(work, viewer, second_factor=has_factor)


async def _wrong_password(work: Work, admissions: Admissions, tried: Tried, field: str) -> Refusal:
    await _failed(work, admissions, tried, "WRONG_PASSWORD")
    return Refusal(RefusalCode.WRONG_PASSWORD, "The password is wrong.", ("input", field))


async def change_password(
    work: Work, viewer: Viewer, admissions: Admissions, tried: Tried, *, hashed: str | None
) -> int | Refusal:
    """Give the viewer another password, if it has proved the one before; all its other sessions end, and are counted.

    `hashed` is the new one's hash, or nothing where the one before was wrong. Refuses: WRONG_PASSWORD.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    user = await work.accounts.locked(viewer.user_id)
    # Whoever has changed it in the meantime has proved the same one: of two at once, the second is wrong.
    present = await work.identities.account_of(viewer.user_id)
    if hashed is None or present.credential != tried.credential:
        return await _wrong_password(work, admissions, tried, "currentPassword")
    await _proved(work, admissions, tried)
    await work.accounts.set_password(Credential(user.id, hashed))
    work.enqueue(letters.password_changed, user.id, work.new_id())
    await end_ways_back(work, user.id)
    return await end_other_sessions(work, viewer)

"""Signing in, or up, whom a provider has proved to be there; nobody is merged with a user without that user's word."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from domain.access import Role
from domain.errors import Refusal, RefusalCode, Unavailable
from domain.identity import Admission, Admissions, Tokens, User, UserStatus, admit
from domain.identity.profile import check_picture
from domain.identity.users import Newcomer, user_of
from domain.origin import Origin
from domain.providers.entities import Proof, ProviderIdentity
from domain.providers.flows import tell
from domain.text import LONGEST_NAME
from domain.text import email as checked_email
from domain.work import Work

LINK_AUDIENCE: Final = "steward: link a provider"
LINK_TIME: Final = timedelta(minutes=10)


class LinkOffer(msgspec.Struct, frozen=True):
    """What links an account at a provider to the user who has its address, once that user has signed in otherwise."""

    token: str
    expires_at: datetime


class Entrance(msgspec.Struct, frozen=True):
    """What came of a proof: an admission, or a refusal, perhaps with an offer.

    The refusal is no exception, so that the trace of it is committed.
    """

    admission: Admission = Admission()
    refusal: Refusal | None = None
    offer: LinkOffer | None = None


async def enter(work: Work, admissions: Admissions, proof: Proof, origin: Origin, *, registration: bool) -> Entrance:
    """Let in the user whom the proven account signs in. Whom nobody knows becomes one, where the firm lets people."""
    known = await work.providers.identity(proof.provider, proof.subject)
    if known is not None:
        return await _admitted(work, admissions, proof, known.user_id, origin)
    address = address_of(proof)
    if address is None:
        tell(work, proof.provider, "EMAIL_NOT_VERIFIED", origin=origin)
        return Entrance(refusal=_unverified())
    user = await work.accounts.locked_by_email(address)
    if user is None and registration:
        tell(work, proof.provider, "SIGNED_UP", user_id := await _signed_up(work, proof, address), origin)
        return await _admitted(work, admissions, proof, user_id, origin)
    return _offered(work, admissions.tokens, proof, user, origin)


async def _admitted(work: Work, admissions: Admissions, proof: Proof, user_id: UUID, origin: Origin) -> Entrance:
    user = await work.identities.user(user_id)
    if user.status is not UserStatus.ACTIVE or user.role is Role.SERVICE:
        tell(work, proof.provider, user.status.value, user.id, origin)
        return Entrance(refusal=_unknown())
    admission = await admit(work, admissions, user.id, origin)
    # The attempt that was counted when the flow was used was none to guess.
    await work.attempts.forgive(admissions.address(origin).text, 1)
    tell(work, proof.provider, "SIGNED_IN" if admission.grant else "CHALLENGED", user.id, origin)
    return Entrance(admission)


async def _signed_up(work: Work, proof: Proof, address: str) -> UUID:
    """A new user who sees no client, until an admin gives it another role and a team."""
    name = _name(proof.name) or address.partition("@")[0]
    made = await user_of(work, Newcomer(address, name, Role.VIEWER), UserStatus.ACTIVE)
    user = msgspec.structs.replace(made, email_verified_at=work.now, picture_url=_picture(proof.picture_url))
    work.acts_for(user.id)
    linked = ProviderIdentity(work.new_id(), proof.provider, proof.subject, user.id, address, work.now)
    if not (await work.accounts.add(user) and await work.providers.add(linked)):
        # Somebody has come in by the same address or account just now: the next time, it will be known.
        raise Unavailable("Somebody signs in by this account right now; try again.", retry_after=1)
    return user.id


def _offered(work: Work, tokens: Tokens, proof: Proof, user: User | None, origin: Origin) -> Entrance:
    """An offer to link the account to the user who has its address; none to whom it would not help."""
    if user is None or user.status is not UserStatus.ACTIVE or user.role is Role.SERVICE:
        tell(work, proof.provider, "NOT_REGISTERED", origin=origin)
        return Entrance(refusal=_unknown())
    tell(work, proof.provider, "LINK_NEEDED", user.id, origin)
    claims = {"sub": str(user.id), "provider": proof.provider, "subject": proof.subject, "email": user.email}
    token, ends = tokens.stating(LINK_AUDIENCE, claims, work.now, LINK_TIME)
    refusal = Refusal(
        RefusalCode.LINK_NEEDED,
        "There is a user with this address. Sign in as that user, and link the account by linkProvider.",
    )
    return Entrance(refusal=refusal, offer=LinkOffer(token, ends))


def address_of(proof: Proof) -> str | None:
    """The address that the provider has verified, as users have theirs; none if it is no such address."""
    try:
        return checked_email(proof.email, "email") if (proof.email or "").isprintable() else None
    except Refusal:
        return None


def _name(name: str | None) -> str:
    """A name as it can be stored."""
    printable = "".join(mark if mark.isprintable() else " " for mark in name or "")
    return " ".join(printable.split())[:LONGEST_NAME]


def _picture(url: str | None) -> str | None:
    try:
        return check_picture(url)
    except Refusal:
        return None


def _unknown() -> Refusal:
    return Refusal(RefusalCode.NOT_REGISTERED, "Nobody signs in here by this account; ask the firm for an invitation.")


def _unverified() -> Refusal:
    return Refusal(
        RefusalCode.EMAIL_NOT_VERIFIED, "The provider has not verified the account's address; do that there first."
    )

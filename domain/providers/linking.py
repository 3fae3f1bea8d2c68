"""Accounts at providers that sign a user in, linked and unlinked by that user."""

from datetime import timedelta
from typing import Final

from domain.access import Action, Viewer, require, require_recent
from domain.errors import Fault, NotFound, Refusal, RefusalCode, Unauthenticated
from domain.identity import Admissions, Session, Tokens
from domain.identity.admission import prove_second_factor
from domain.identity.sessions import authenticated
from domain.origin import Origin
from domain.providers.entering import LINK_AUDIENCE, address_of
from domain.providers.entities import Proof, ProviderFlow, ProviderIdentity
from domain.providers.flows import declined, tell
from domain.text import invalid
from domain.work import Work

# By how much the clock of a provider may differ from ours.
SKEW: Final = timedelta(seconds=60)
CLAIMS: Final = ("sub", "provider", "subject", "email")


async def link(work: Work, viewer: Viewer, tokens: Tokens, token: str) -> ProviderIdentity:
    """Link the account of an offer to the user it was made for, who is the viewer.

    Refuses: REAUTHENTICATION_NEEDED, INVALID_VALUE, DUPLICATE.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    try:
        offered = tokens.stated(LINK_AUDIENCE, token, CLAIMS, work.now)
    except Unauthenticated as error:
        raise _no_offer() from error
    if offered["sub"] != str(viewer.user_id):
        raise _no_offer()
    return await _linked(work, viewer, offered["provider"], offered["subject"], offered["email"])


async def link_proven(work: Work, viewer: Viewer, proof: Proof) -> ProviderIdentity:
    """Link a proven account to the viewer. Refuses: REAUTHENTICATION_NEEDED, DUPLICATE."""
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    return await _linked(work, viewer, proof.provider, proof.subject, address_of(proof))


async def _linked(work: Work, viewer: Viewer, provider: str, subject: str, email: str | None) -> ProviderIdentity:
    # Under the user's lock, as all that changes by what it signs in.
    await work.accounts.locked(viewer.user_id)
    known = await work.providers.identity(provider, subject)
    if known is not None and known.user_id == viewer.user_id:
        return known
    made = ProviderIdentity(work.new_id(), provider, subject, viewer.user_id, email, work.now)
    if known is not None or not await work.providers.add(made):
        raise Refusal(
            RefusalCode.DUPLICATE, "This account signs somebody else in, or another of this provider signs you in."
        )
    tell(work, provider, "LINKED", viewer.user_id)
    return made


async def unlink(work: Work, viewer: Viewer, provider: str) -> ProviderIdentity:
    """Have the viewer's account at a provider sign it in no longer.

    Refuses: REAUTHENTICATION_NEEDED, LAST_SIGN_IN. Raises NotFound.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    await work.accounts.locked(viewer.user_id)
    linked = await work.providers.of_user(viewer.user_id)
    found = next((each for each in linked if each.provider == provider), None)
    if found is None:
        raise NotFound
    if len(linked) == 1 and not await work.accounts.has_password(viewer.user_id):
        raise Refusal(
            RefusalCode.LAST_SIGN_IN, "You would have no way to sign in; set a password first, or link another account."
        )
    await work.providers.remove(found)
    return found


async def reauthenticate(
    work: Work, viewer: Viewer, admissions: Admissions, flow: ProviderFlow, proof: Proof, *, code: str, origin: Origin
) -> Session | Fault | Refusal:
    """Note that the viewer has proved anew who it is: by a provider, and its second factor, if it has one.

    Only by a provider that tells that it asked for a proof since. Refusals are returned, so that their trace is
    committed. Refuses: PROVIDER_FAILED, WRONG_CODE.
    """
    require(viewer, Action.MANAGE_ACCOUNT)
    known = await work.providers.identity(proof.provider, proof.subject)
    theirs = known is not None and known.user_id == viewer.user_id
    anew = proof.authenticated_at is not None and proof.authenticated_at >= flow.created_at - SKEW
    if not (theirs and anew):
        tell(work, proof.provider, "NOT_ANEW" if theirs else "ANOTHER", viewer.user_id)
        return declined()
    if refused := await prove_second_factor(work, admissions, viewer.user_id, code, origin):
        return refused
    tell(work, proof.provider, "REAUTHENTICATED", viewer.user_id)
    return await authenticated(work, viewer, second_factor=False)


def _no_offer() -> Refusal:
    return invalid("linkToken", "The offer to link was made to somebody else, or is too old; sign in there once more.")

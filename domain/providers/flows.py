"""Ways to a provider and back: how they begin, and how each is used up, once, by the browser that began it."""

from uuid import UUID

import msgspec

from domain.access import Action, Viewer, require, require_recent
from domain.audit import Trace
from domain.errors import RateLimited, Refusal, RefusalCode, Unauthenticated
from domain.identity import Admissions, attempts
from domain.origin import Origin
from domain.providers.entities import FlowSecrets, ProviderFlow, Purpose
from domain.providers.gateway import Provider, SignInProviders
from domain.work import Work


class Begun(msgspec.Struct, frozen=True):
    """A flow that was begun: where it goes, and its secrets."""

    provider: Provider
    kept: FlowSecrets
    anew: bool


async def begin_sign_in(work: Work, providers: SignInProviders, name: str) -> Begun:
    """Begin the sign-in of whoever asks. Refuses: INVALID_VALUE."""
    provider, kept = providers.named(name), FlowSecrets.made()
    await _add(work, ProviderFlow.begun(work.new_id(), name, Purpose.SIGN_IN, kept, work.now))
    return Begun(provider, kept, anew=False)


async def begin_link(work: Work, viewer: Viewer, providers: SignInProviders, name: str) -> Begun:
    """Begin to link an account at a provider to the viewer. Refuses: REAUTHENTICATION_NEEDED, INVALID_VALUE."""
    require(viewer, Action.MANAGE_ACCOUNT)
    require_recent(viewer, work.now)
    return await _begin_own(work, viewer, providers.named(name), Purpose.LINK)


async def begin_reauthentication(work: Work, viewer: Viewer, providers: SignInProviders, name: str) -> Begun:
    """Begin to have a provider prove once more who the viewer is. Refuses: INVALID_VALUE."""
    require(viewer, Action.MANAGE_ACCOUNT)
    return await _begin_own(work, viewer, providers.named(name), Purpose.REAUTHENTICATE)


async def _begin_own(work: Work, viewer: Viewer, provider: Provider, purpose: Purpose) -> Begun:
    kept = FlowSecrets.made()
    flow = ProviderFlow.begun(work.new_id(), provider.name, purpose, kept, work.now)
    await _add(work, msgspec.structs.replace(flow, user_id=viewer.user_id, session_id=viewer.session_id))
    return Begun(provider, kept, anew=purpose is Purpose.REAUTHENTICATE)


async def _add(work: Work, flow: ProviderFlow) -> None:
    await work.providers.add_flow(flow)
    facts = {"provider": flow.provider, "purpose": flow.purpose.value}
    work.trace(Trace("providers.begun", "User", flow.user_id, facts, user_id=flow.user_id))


async def take(
    work: Work, admissions: Admissions, given: FlowSecrets, origin: Origin
) -> ProviderFlow | RateLimited | Unauthenticated:
    """Use up the flow of a sign-in. Its refusal is returned, so that its trace is committed."""
    if limited := await attempts.count(work, admissions.address(origin)):
        tell(work, "", "RATE_LIMITED")
        return limited
    flow = await work.providers.take_flow(given, Purpose.SIGN_IN, work.now)
    if flow is not None:
        return flow
    tell(work, "", "FLOW")
    return not_begun_here()


async def take_own(work: Work, viewer: Viewer, given: FlowSecrets, purpose: Purpose) -> ProviderFlow | Refusal:
    """Use up a flow that the viewer's own session has begun. Its refusal is returned, as that of `take`."""
    require(viewer, Action.MANAGE_ACCOUNT)
    flow = await work.providers.take_flow(given, purpose, work.now)
    if flow is not None and (flow.user_id, flow.session_id) == (viewer.user_id, viewer.session_id):
        return flow
    tell(work, flow.provider if flow else "", "FLOW")
    return declined()


async def failed(work: Work, provider: str, why: str) -> None:
    """Have the trail tell that a provider has not proved who somebody is."""
    tell(work, provider, why)


async def failed_own(work: Work, viewer: Viewer, provider: str, why: str) -> None:
    """As `failed`, for a flow of the viewer's."""
    require(viewer, Action.MANAGE_ACCOUNT)
    tell(work, provider, why)


def tell(work: Work, provider: str, outcome: str, user_id: UUID | None = None, origin: Origin | None = None) -> None:
    """Have the trail tell of a proof that was tried, and of whom, where that is known."""
    facts = {"provider": provider, "outcome": outcome}
    personal = {"address": origin.address, "device": origin.device} if origin else {}
    work.trace(Trace("providers.tried", "User", user_id, facts, personal, person_id=user_id, user_id=user_id))


def not_begun_here() -> Unauthenticated:
    """The one answer to all sign-ins that a provider has not proved, whatever the reason."""
    return Unauthenticated(
        "The sign-in was not begun in this browser, was completed before, took too long, or the provider did not prove "
        "it; begin again.",
        reason="INVALID",
    )


def declined() -> Refusal:
    """The same for whoever is signed in already."""
    return Refusal(
        RefusalCode.PROVIDER_FAILED,
        "This was not begun in this session, was completed before, took too long, or the provider did not prove it; "
        "begin again.",
    )

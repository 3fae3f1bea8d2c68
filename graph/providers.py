"""Signing in by other providers of identity, and the accounts there that sign a user in."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from domain import identity, providers
from domain.identity import settled
from domain.providers import FlowSecrets, Proof, ProviderFlow, ProviderKind, Purpose, entering, flows, linking
from domain.providers.gateway import NotProven, Provider
from graph.context import Context, Info
from graph.cost import cost
from graph.described import enum, input_, type_
from graph.identity.sign_in import SessionPayload
from graph.mutations import GOES_ON, PROVES, Payload, UserError, mutation
from graph.nodes import OfEntity
from persistence.providers import Providers

enum(ProviderKind)


@type_
class SignInProvider(OfEntity):
    """A provider that people can sign in by.

    name: What the provider is called in the other fields, such as google.
    kind: What sort of provider it is.
    """

    entity = object

    name: str
    kind: ProviderKind


@type_
class LinkedProvider(OfEntity):
    """An account at a provider that signs the viewer in.

    provider: The provider's name.
    email: The address that the account had when it was linked, if the provider had verified it.
    linked_at: When it was linked.
    """

    entity = providers.ProviderIdentity

    provider: str
    email: str | None
    linked_at: datetime


@type_
class ProviderLinkOffer(OfEntity):
    """What links the account at the provider to the user who has its address.

    token: Sent to `linkProvider` by that user, once it has signed in otherwise.
    expires_at: When the offer ends.
    """

    entity = entering.LinkOffer

    token: str
    expires_at: datetime


@input_
class BeginProviderSignInInput:
    """By whom somebody wants to sign in.

    provider: The name of the provider.
    """

    provider: str


@input_
class BeginProviderLinkInput:
    """Where the account is that is to sign the viewer in.

    provider: The name of the provider.
    """

    provider: str


@input_
class BeginProviderReauthenticationInput:
    """By whom the viewer wants to prove once more who it is.

    provider: The name of the provider.
    """

    provider: str


@input_
class CompleteProviderSignInInput:
    """What the provider has sent the browser back with, and what the browser has kept.

    flow: What `beginProviderSignIn` gave to keep.
    state: The parameter `state` of the address that the provider sent the browser to.
    code: The parameter `code` of that address.
    issuer: The parameter `iss` of that address, if there is one.
    """

    flow: str
    state: str
    code: str
    issuer: str | None = None


@input_
class CompleteProviderLinkInput(CompleteProviderSignInInput):
    """As for a sign-in.

    flow: What `beginProviderLink` gave to keep.
    """


@input_
class CompleteProviderReauthenticationInput(CompleteProviderSignInInput):
    """As for a sign-in.

    flow: What `beginProviderReauthentication` gave to keep.
    second_factor_code: The code of the second factor, of whoever has one.
    """

    second_factor_code: str = ""


@input_
class LinkProviderInput:
    """What links the account of an offer.

    link_token: The token of the offer.
    """

    link_token: str


@input_
class UnlinkProviderInput:
    """Which account is to sign the viewer in no longer.

    provider: The name of its provider.
    """

    provider: str


@type_
class ProviderFlowPayload(Payload):
    """A way to the provider and back that was begun. It can be completed once, within ten minutes.

    authorization_url: Where to send the browser.
    flow: A secret that the browser keeps, and sends in no address: it completes what was begun, and nobody else can.
    """

    authorization_url: str | None = None
    flow: str | None = None


@type_
class CompleteProviderSignInPayload(SessionPayload):
    """A session, or what is missing for one.

    link: With the user error LINK_NEEDED: what links the account to the user who has its address.
    """

    link: entering.LinkOffer | None = strawberry.field(default=None, graphql_type=ProviderLinkOffer | None)


@type_
class LinkProviderPayload(Payload):
    """The account that signs the viewer in from now on.

    linked: The account.
    """

    linked: providers.ProviderIdentity | None = strawberry.field(default=None, graphql_type=LinkedProvider | None)


@type_
class UnlinkProviderPayload(Payload):
    """The account that signs the viewer in no longer.

    unlinked: The account.
    """

    unlinked: providers.ProviderIdentity | None = strawberry.field(default=None, graphql_type=LinkedProvider | None)


@type_
class ProviderReauthenticationPayload(Payload):
    """The proof of who the viewer is, renewed.

    authenticated_at: When that was.
    """

    authenticated_at: datetime | None = None


async def _sent(begun: flows.Begun, context: Context) -> ProviderFlowPayload:
    """Where the browser goes; asked of the provider when nothing is held of the database any more."""
    url = await begun.provider.authorization_url(begun.kept, context.now, anew=begun.anew)
    return ProviderFlowPayload(authorization_url=url, flow=begun.kept.flow)


async def _proof(context: Context, provider: Provider, given: CompleteProviderSignInInput) -> Proof | NotProven:
    kept = FlowSecrets(given.flow, given.state)
    try:
        return await provider.proof(given.code, given.issuer, kept, context.now)
    except NotProven as unproven:
        return unproven


async def _own(context: Context, purpose: Purpose, given: CompleteProviderSignInInput) -> tuple[ProviderFlow, Proof]:
    """The flow that the viewer completes, and whom its provider has proved to be there. Refuses: PROVIDER_FAILED."""
    kept = FlowSecrets(given.flow, given.state)
    flow = settled(await context.account(flows.take_own, kept, purpose))
    proof = await _proof(context, context.services.providers.named(flow.provider), given)
    if isinstance(proof, NotProven):
        await context.account(flows.failed_own, flow.provider, proof.why)
        raise flows.declined()
    return flow, proof


@strawberry.type
class ProviderQueries:
    """Queries about providers of identity."""

    @strawberry.field(
        graphql_type=list[SignInProvider],
        description="The providers that people can sign in by, for whoever has not signed in; bounded by the settings.",
        metadata=cost(size=2),
    )
    async def sign_in_providers(self, info: Info) -> list[Provider]:
        """The providers of the settings."""
        return info.context.services.providers.all

    @strawberry.field(
        graphql_type=list[LinkedProvider],
        description="The accounts at providers that sign the viewer in; at most one for each provider.",
        metadata=cost(size=2),
    )
    async def linked_providers(self, info: Info) -> Sequence[providers.ProviderIdentity]:
        """The viewer's own."""
        return await info.context.read(Providers.mine)


@strawberry.type
class ProviderMutations:
    """Mutations of sign-in by providers."""

    @mutation(cost=GOES_ON)
    async def begin_provider_sign_in(self, info: Info, input: BeginProviderSignInInput) -> ProviderFlowPayload | None:
        """Begin to sign in by another provider: send the browser there, and complete it when it comes back."""
        context = info.context
        begun = await context.identify(flows.begin_sign_in, context.services.providers, input.provider)
        return await _sent(begun, context)

    @mutation(cost=PROVES)
    async def complete_provider_sign_in(
        self, info: Info, input: CompleteProviderSignInInput
    ) -> CompleteProviderSignInPayload | None:
        """Begin a session with what the provider sent the browser back with.

        UNAUTHENTICATED where it was not begun in this browser, was completed before, took too long, or the provider
        did not prove it.
        """
        context, services = info.context, info.context.services
        kept = FlowSecrets(input.flow, input.state)
        flow = settled(await context.identify(flows.take, services.admissions, kept, context.origin))
        proof = await _proof(context, services.providers.named(flow.provider), input)
        if isinstance(proof, NotProven):
            await context.identify(flows.failed, flow.provider, proof.why)
            raise flows.not_begun_here()
        entered = await context.identify(
            entering.enter, services.admissions, proof, context.origin, registration=services.registration
        )
        return _entered(entered)

    @mutation
    async def link_provider(self, info: Info, input: LinkProviderInput) -> LinkProviderPayload | None:
        """Have the account of an offer sign the viewer in from now on, who must be the user that it was made for."""
        context = info.context
        return LinkProviderPayload(
            linked=await context.account(linking.link, context.services.tokens, input.link_token)
        )

    @mutation
    async def begin_provider_link(self, info: Info, input: BeginProviderLinkInput) -> ProviderFlowPayload | None:
        """Begin to have an account at a provider sign the viewer in."""
        context = info.context
        return await _sent(await context.account(flows.begin_link, context.services.providers, input.provider), context)

    @mutation(cost=PROVES)
    async def complete_provider_link(self, info: Info, input: CompleteProviderLinkInput) -> LinkProviderPayload | None:
        """Have the account sign the viewer in that the provider sent the browser back with."""
        _, proof = await _own(info.context, Purpose.LINK, input)
        return LinkProviderPayload(linked=await info.context.account(linking.link_proven, proof))

    @mutation
    async def unlink_provider(self, info: Info, input: UnlinkProviderInput) -> UnlinkProviderPayload | None:
        """Have an account at a provider sign the viewer in no longer; not the last way in that there is."""
        return UnlinkProviderPayload(unlinked=await info.context.account(linking.unlink, input.provider))

    @mutation
    async def begin_provider_reauthentication(
        self, info: Info, input: BeginProviderReauthenticationInput
    ) -> ProviderFlowPayload | None:
        """Begin to have a provider prove once more who the viewer is; it is asked to ask for a proof itself."""
        context = info.context
        begun = await context.account(flows.begin_reauthentication, context.services.providers, input.provider)
        return await _sent(begun, context)

    @mutation(cost=PROVES)
    async def complete_provider_reauthentication(
        self, info: Info, input: CompleteProviderReauthenticationInput
    ) -> ProviderReauthenticationPayload | None:
        """Prove who the viewer is by its account at a provider, if that tells that it asked for a proof just now.

        Google and GitHub do not tell: with these, sign in anew instead.
        """
        context = info.context
        flow, proof = await _own(context, Purpose.REAUTHENTICATE, input)
        session: identity.Session = settled(
            await context.account(
                linking.reauthenticate,
                context.services.admissions,
                flow,
                proof,
                code=input.second_factor_code,
                origin=context.origin,
            )
        )
        return ProviderReauthenticationPayload(authenticated_at=session.authenticated_at)


def _entered(entered: entering.Entrance) -> CompleteProviderSignInPayload:
    if entered.refusal is None:
        return CompleteProviderSignInPayload(session=entered.admission.grant, challenge=entered.admission.challenge)
    refusal = entered.refusal
    error = UserError(code=refusal.code, message=refusal.message, field=list(refusal.field))
    return CompleteProviderSignInPayload(link=entered.offer, user_errors=[error])

"""The second factor: how it is made, given up, and what helps where it is lost."""

import strawberry
from strawberry import ID

from domain import identity
from domain.identity import admission, factors, lost_factors, settled
from graph.context import Info
from graph.described import input_, type_
from graph.identity.account import UserPayload
from graph.identity.types import Session
from graph.ids import decode
from graph.mutations import Payload, mutation
from graph.nodes import OfEntity


@input_
class BeginSecondFactorInput:
    """What makes a new secret for an authenticator.

    challenge: The token of a sign-in's challenge that asks for an enrolment; left out where there is a session.
    """

    challenge: str | None = None


@input_
class ConfirmSecondFactorInput:
    """What has the new secret count.

    code: The six digits that the authenticator shows for it.
    challenge: The token of the sign-in's challenge, if the secret was made with it.
    """

    code: str
    challenge: str | None = None


@input_
class DisableSecondFactorInput:
    """What gives the viewer's second factor up.

    client_mutation_id: Of no meaning here; for frontends that send one.
    """

    client_mutation_id: str | None = None


@input_
class ReplaceRecoveryCodesInput:
    """What makes new recovery codes.

    client_mutation_id: Of no meaning here; for frontends that send one.
    """

    client_mutation_id: str | None = None


@input_
class ResetSecondFactorInput:
    """Whose second factor is lost.

    user_id: The user, whom the viewer looks after.
    """

    user_id: ID


@type_
class SecondFactorEnrolment(OfEntity):
    """A secret for an authenticator, shown once. It counts as soon as a code of it has confirmed it.

    secret: The secret in base 32, for typing in.
    uri: The secret as an otpauth URI, for authenticators on the same device.
    qr: The URI as a QR code, which authenticators scan: an SVG element.
    """

    entity = factors.Enrolment

    secret: str
    uri: str
    qr: str


@type_
class BeginSecondFactorPayload(Payload):
    """A secret that is to be confirmed.

    enrolment: The secret.
    """

    enrolment: factors.Enrolment | None = strawberry.field(default=None, graphql_type=SecondFactorEnrolment | None)


@type_
class ConfirmSecondFactorPayload(Payload):
    """A second factor that counts from now on.

    recovery_codes: Ten codes for when the authenticator is lost, each of which works once. They are shown this once.
    session: The session, where the second factor was made with the challenge of a sign-in.
    """

    recovery_codes: list[str] = strawberry.field(default_factory=list)
    session: identity.Grant | None = strawberry.field(default=None, graphql_type=Session | None)


@type_
class DisableSecondFactorPayload(Payload):
    """A second factor that was given up.

    disabled: Whether there is none any more.
    """

    disabled: bool = False


@type_
class ReplaceRecoveryCodesPayload(Payload):
    """New recovery codes.

    recovery_codes: Ten codes, each of which works once; those before work no longer. They are shown this once.
    """

    recovery_codes: list[str] = strawberry.field(default_factory=list)


@strawberry.type
class FactorMutations:
    """Mutations of the viewer's second factor."""

    @mutation
    async def begin_second_factor(self, info: Info, input: BeginSecondFactorInput) -> BeginSecondFactorPayload | None:
        """Make a secret for an authenticator. A second factor that there is counts until the new one is confirmed."""
        context = info.context
        if input.challenge is None:
            return BeginSecondFactorPayload(enrolment=await context.account(factors.begin_second_factor))
        rules = context.services.admissions
        enrolment = await context.identify(admission.enrol_at_sign_in, rules, input.challenge)
        return BeginSecondFactorPayload(enrolment=enrolment)

    @mutation
    async def confirm_second_factor(
        self, info: Info, input: ConfirmSecondFactorInput
    ) -> ConfirmSecondFactorPayload | None:
        """Have the new secret count, given a code of it. Other sessions end, for they have not proved it."""
        context, code = info.context, input.code
        rules, origin = context.services.admissions, context.origin
        if input.challenge is None:
            outcome = await context.account(admission.confirm_second_factor, rules, code, origin)
        else:
            outcome = await context.identify(admission.confirm_at_sign_in, rules, input.challenge, code, origin)
        confirmed = settled(outcome)
        return ConfirmSecondFactorPayload(recovery_codes=list(confirmed.recovery_codes), session=confirmed.grant)

    @mutation
    async def disable_second_factor(
        self,
        info: Info,
        input: DisableSecondFactorInput,  # noqa: ARG002 - every mutation takes one
    ) -> DisableSecondFactorPayload | None:
        """Do without a second factor, where the viewer's role may."""
        await info.context.account(admission.disable_second_factor, info.context.services.admissions)
        return DisableSecondFactorPayload(disabled=True)

    @mutation
    async def replace_recovery_codes(
        self,
        info: Info,
        input: ReplaceRecoveryCodesInput,  # noqa: ARG002 - every mutation takes one
    ) -> ReplaceRecoveryCodesPayload | None:
        """Make new recovery codes; those before work no longer."""
        return ReplaceRecoveryCodesPayload(recovery_codes=await info.context.account(factors.replace_recovery_codes))

    @mutation
    async def reset_second_factor(self, info: Info, input: ResetSecondFactorInput) -> UserPayload | None:
        """Take away the second factor of a user who has lost it; all sessions of the user end at once."""
        user_id = decode(input.user_id, "user", "input.userId")
        return UserPayload(user=await info.context.account(lost_factors.reset_second_factor, user_id))

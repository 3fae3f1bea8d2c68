"""The second factor: enrolled, asked for at sign-in, and given up."""

import asyncio
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pyotp
import pytest

from domain.access import Role
from domain.identity import ISSUER
from graph.context import Services
from graph.settings import Environment, Settings
from persistence.embedded import EmbeddedServer
from tests.factories.factors import Authenticator, enrolled
from tests.factories.firm import PASSWORD, Make, SignedIn
from tests.graph.test_identity import REFRESH, VIEWER, by, reason
from tests.support.clock import moved, stopped
from tests.support.gql import Answer, Gql

SIGN_IN = "session { accessToken refreshToken } challenge { token expiresAt methods enrolmentNeeded }"
COMPLETE = """
mutation ($challenge: String!, $code: String!) {
    completeSignIn(input: {challenge: $challenge, code: $code}) {
        session { accessToken refreshToken } userErrors { code field }
    }
}
"""
FACTOR = "{ viewer { secondFactor { enabled required confirmedAt recoveryCodesLeft } } }"
CONFIRM = "recoveryCodes session { accessToken refreshToken }"


@pytest.fixture
async def advisor(make: Make) -> SignedIn:
    return await make.advisor(clients=1)


@pytest.fixture
async def factor(make: Make, gql: Gql, advisor: SignedIn) -> Authenticator:
    return await enrolled(make, gql, advisor)


async def challenged(gql: Gql, user: SignedIn) -> str:
    payload = await gql.change("signIn", SIGN_IN, email=user.user.email, password=PASSWORD)
    assert payload["session"] is None
    return str(payload["challenge"]["token"])


async def completed(gql: Gql, challenge: str, code: str) -> Any:
    return (await gql.run(COMPLETE, challenge=challenge, code=code))["completeSignIn"]


def refused(payload: Any) -> list[str]:
    assert not payload.get("session")
    return [error["code"] for error in payload["userErrors"]]


async def aged(make: Make, user: SignedIn) -> None:
    """Have the proofs of a user's sessions be too old for sensitive changes."""
    ages = "update sessions set authenticated_at = now() - interval '16 minutes' where user_id = $1"
    await make.connection.execute(ages, user.user.id)


@pytest.fixture
def needing(services: Services) -> None:
    """Have the role of advisors need a second factor."""
    rules = msgspec.structs.replace(services.admissions, needing_factor=frozenset({Role.ADVISOR}))
    msgspec.structs.force_setattr(services, "admissions", rules)


async def test_an_authenticator_is_enrolled_by_a_picture_or_by_hand(gql: Gql, make: Make, advisor: SignedIn) -> None:
    own = gql.as_(advisor)
    assert (await own.run(FACTOR))["viewer"]["secondFactor"] == {
        "enabled": False,
        "required": False,
        "confirmedAt": None,
        "recoveryCodesLeft": 0,
    }
    made = (await own.change("beginSecondFactor", "enrolment { secret uri qr }"))["enrolment"]
    told = pyotp.parse_uri(made["uri"])
    assert (told.secret, told.name, told.issuer) == (made["secret"], advisor.user.email, "Steward")
    assert ET.fromstring(made["qr"]).tag.endswith("svg")  # noqa: S314 - made by the application under test
    # It does not count yet.
    assert not (await own.run(FACTOR))["viewer"]["secondFactor"]["enabled"]
    assert (await gql.change("signIn", SIGN_IN, email=advisor.user.email, password=PASSWORD))["session"]
    wrong = Authenticator(make, made["secret"]).wrong()
    assert refused(await own.change("confirmSecondFactor", CONFIRM, code=wrong)) == ["WRONG_CODE"]
    confirmed = await own.change("confirmSecondFactor", CONFIRM, code=pyotp.TOTP(made["secret"]).now())
    assert len(set(confirmed["recoveryCodes"])) == 10
    assert confirmed["session"] is None
    state = (await own.run(FACTOR))["viewer"]["secondFactor"]
    assert (state["enabled"], state["recoveryCodesLeft"]) == (True, 10)


async def test_the_secret_and_the_codes_are_stored_nowhere_in_clear(
    make: Make, factor: Authenticator, advisor: SignedIn
) -> None:
    secret = factor.totp.secret
    stored = await make.connection.fetchrow("select * from second_factors where id = $1", advisor.user.id)
    assert stored
    assert secret.encode() not in stored["sealed"]
    digests = await make.connection.fetch("select * from recovery_codes")
    trail = await make.connection.fetch("select * from audit_events")
    told = " ".join(str(dict(row)) for row in (*digests, *trail))
    for text in (secret, *factor.recovery_codes, *(code.replace("-", "") for code in factor.recovery_codes)):
        assert text not in told
    assert stored["sealed"].hex() not in told


async def test_a_sign_in_waits_for_the_second_factor(
    gql: Gql, services: Services, factor: Authenticator, advisor: SignedIn
) -> None:
    payload = await gql.change("signIn", SIGN_IN, email=advisor.user.email, password=PASSWORD)
    assert payload["session"] is None
    assert payload["challenge"]["methods"] == ["TOTP", "RECOVERY_CODE"]
    assert payload["challenge"]["enrolmentNeeded"] is False
    challenge = payload["challenge"]["token"]
    # It is no access token.
    assert reason(await by(gql, services, challenge).ask(VIEWER)) == "INVALID"
    assert refused(await completed(gql, challenge, factor.wrong())) == ["WRONG_CODE"]
    session = (await completed(gql, challenge, factor.code(1)))["session"]
    mine = by(gql, services, session["accessToken"])
    assert (await mine.run(VIEWER))["viewer"]["name"] == advisor.user.name
    shown = (await mine.run("{ viewer { sessions { current secondFactor } } }"))["viewer"]["sessions"]
    assert {"current": True, "secondFactor": True} in shown
    # Once: neither the code nor another opens a second session with it.
    for code in (factor.code(1), await factor.fresh(advisor)):
        assert reason(await gql.ask(COMPLETE, challenge=challenge, code=code)) == "INVALID"


async def test_a_challenge_ends_after_five_minutes(
    gql: Gql, services: Services, factor: Authenticator, advisor: SignedIn
) -> None:
    clock = moved(services)
    first, second = await challenged(gql, advisor), await challenged(gql, advisor)
    clock.move(minutes=4, seconds=50)
    assert (await completed(gql, first, factor.code()))["session"]
    clock.move(seconds=11)
    assert reason(await gql.ask(COMPLETE, challenge=second, code=factor.code())) == "EXPIRED"


async def test_nothing_but_a_challenge_is_one(
    gql: Gql, services: Services, factor: Authenticator, advisor: SignedIn
) -> None:
    good = await challenged(gql, advisor)
    claims = {"sub": str(advisor.user.id), "cid": str(advisor.user.id)}
    other, _ = services.tokens.stating(ISSUER, claims, services.doors.clock(), services.tokens.lives.access)
    for token in ("", "x", "a.b.c", advisor.token, other, good[:-3] + "AAA"):
        assert reason(await gql.ask(COMPLETE, challenge=token, code=factor.code(1))) == "INVALID"
        begun = await gql.ask(
            "mutation ($t: String) { beginSecondFactor(input: {challenge: $t}) { __typename } }", t=token
        )
        assert reason(begun) == "INVALID"


async def test_a_code_is_good_once_and_for_a_step_before_and_after(
    gql: Gql, services: Services, factor: Authenticator, advisor: SignedIn
) -> None:
    clock = stopped(services)
    clock.move(minutes=10)
    for steps in (-2, 2):
        challenge = await challenged(gql, advisor)
        assert refused(await completed(gql, challenge, factor.code(steps))) == ["WRONG_CODE"]
    for steps in (-1, 0, 1):
        challenge = await challenged(gql, advisor)
        assert (await completed(gql, challenge, f" {factor.code(steps)[:3]} {factor.code(steps)[3:]} "))["session"]
        # A step that has gone by is of no use either.
        for used in range(-1, steps + 1):
            challenge = await challenged(gql, advisor)
            assert refused(await completed(gql, challenge, factor.code(used))) == ["WRONG_CODE"]


async def test_of_many_who_use_one_code_at_once_one_gets_in(gql: Gql, factor: Authenticator, advisor: SignedIn) -> None:
    challenges = [await challenged(gql, advisor) for _ in range(4)]
    code = factor.code(1)
    payloads = await asyncio.gather(*(completed(gql, challenge, code) for challenge in challenges))
    assert sum(payload["session"] is not None for payload in payloads) == 1


async def test_of_many_who_use_one_challenge_at_once_one_gets_in(
    gql: Gql, factor: Authenticator, advisor: SignedIn
) -> None:
    challenge = await challenged(gql, advisor)
    codes = factor.recovery_codes[:4]
    answers = await asyncio.gather(*(gql.ask(COMPLETE, challenge=challenge, code=code) for code in codes))
    assert sum("errors" not in answer for answer in answers) == 1


async def test_a_recovery_code_is_good_once(gql: Gql, factor: Authenticator, advisor: SignedIn) -> None:
    typed = factor.recovery_codes[3].lower().replace("-", " ")
    assert (await completed(gql, await challenged(gql, advisor), typed))["session"]
    assert refused(await completed(gql, await challenged(gql, advisor), typed)) == ["WRONG_CODE"]
    state = (await gql.as_(advisor).run(FACTOR))["viewer"]["secondFactor"]
    assert state["recoveryCodesLeft"] == 9
    new = (await gql.as_(advisor).change("replaceRecoveryCodes", "recoveryCodes"))["recoveryCodes"]
    assert len({*new, *factor.recovery_codes}) == 20
    assert refused(await completed(gql, await challenged(gql, advisor), factor.recovery_codes[4])) == ["WRONG_CODE"]
    assert (await completed(gql, await challenged(gql, advisor), new[0]))["session"]


@pytest.mark.usefixtures("factor")
async def test_another_users_recovery_code_is_none(gql: Gql, make: Make, advisor: SignedIn) -> None:
    other = await make.advisor()
    others = await enrolled(make, gql, other)
    assert refused(await completed(gql, await challenged(gql, advisor), others.recovery_codes[0])) == ["WRONG_CODE"]


async def test_codes_are_guessed_at_as_slowly_as_passwords(
    gql: Gql, services: Services, make: Make, factor: Authenticator, advisor: SignedIn
) -> None:
    stopped(services)
    challenge = await challenged(gql, advisor)
    for _ in range(5):
        assert refused(await completed(gql, challenge, factor.wrong())) == ["WRONG_CODE"]
    # The password is known to whoever guesses: it gives no new start.
    challenge = await challenged(gql, advisor)
    assert (await gql.ask(COMPLETE, challenge=challenge, code=factor.code(1))).codes == ["RATE_LIMITED"]
    told = await make.connection.fetch(
        "select after ->> 'outcome' from audit_events where action = 'identity.sign_in_failed' order by occurred_at"
    )
    assert [row[0] for row in told] == [*["WRONG_CODE"] * 5, "RATE_LIMITED"]


async def test_fifty_guesses_at_once_are_no_more_than_a_few(
    gql: Gql, services: Services, factor: Authenticator, advisor: SignedIn
) -> None:
    stopped(services)
    challenge, wrong = await challenged(gql, advisor), factor.wrong()
    answers: list[Answer] = await asyncio.gather(
        *(gql.ask(COMPLETE, challenge=challenge, code=wrong) for _ in range(50))
    )
    assert sum("errors" not in answer for answer in answers) == 5


@pytest.mark.usefixtures("needing")
async def test_a_role_that_needs_a_second_factor_enrols_at_sign_in(
    gql: Gql, services: Services, make: Make, advisor: SignedIn
) -> None:
    challenge = (await gql.change("signIn", SIGN_IN, email=advisor.user.email, password=PASSWORD))["challenge"]
    assert (challenge["enrolmentNeeded"], challenge["methods"]) == (True, [])
    token = challenge["token"]
    assert refused(await completed(gql, token, "123456")) == ["WRONG_CODE"]
    none_yet = await gql.change("confirmSecondFactor", CONFIRM, challenge=token, code="123456")
    assert refused(none_yet) == ["NO_SECOND_FACTOR"]
    begun = await gql.change("beginSecondFactor", "enrolment { secret }", challenge=token)
    factor = Authenticator(make, begun["enrolment"]["secret"])
    wrong = await gql.change("confirmSecondFactor", CONFIRM, challenge=token, code=factor.wrong())
    assert refused(wrong) == ["WRONG_CODE"]
    confirmed = await gql.change("confirmSecondFactor", CONFIRM, challenge=token, code=factor.code())
    assert len(confirmed["recoveryCodes"]) == 10
    mine = by(gql, services, confirmed["session"]["accessToken"])
    assert (await mine.run(FACTOR))["viewer"]["secondFactor"]["required"] is True
    assert (await completed(gql, await challenged(gql, advisor), factor.code(1)))["session"]
    disabled = await mine.change("disableSecondFactor", "disabled")
    assert [error["code"] for error in disabled["userErrors"]] == ["SECOND_FACTOR_REQUIRED"]


async def test_a_password_alone_puts_no_other_factor_in_the_place_of_one(
    gql: Gql, factor: Authenticator, advisor: SignedIn
) -> None:
    token = await challenged(gql, advisor)
    begin = "mutation ($t: String!) { beginSecondFactor(input: {challenge: $t}) { enrolment { secret } } }"
    assert reason(await gql.ask(begin, t=token)) == "INVALID"
    confirm = 'mutation ($t: String!) { confirmSecondFactor(input: {challenge: $t, code: "123456"}) { recoveryCodes } }'
    assert reason(await gql.ask(confirm, t=token)) == "INVALID"
    # Nor does one that is begun with the session, and not confirmed.
    assert (await gql.as_(advisor).change("beginSecondFactor", "enrolment { secret }"))["enrolment"]
    assert reason(await gql.ask(confirm, t=token)) == "INVALID"
    assert (await completed(gql, token, factor.code(1)))["session"]


@pytest.mark.usefixtures("needing")
async def test_a_session_without_the_factor_that_its_role_needs_is_not_refreshed(gql: Gql, make: Make) -> None:
    viewer = await make.user(Role.VIEWER, await make.team())
    session = (await gql.change("signIn", SIGN_IN, email=viewer.user.email, password=PASSWORD))["session"]
    await make.connection.execute("update users set role = 'ADVISOR' where id = $1", viewer.user.id)
    assert reason(await gql.ask(REFRESH, token=session["refreshToken"])) == "REVOKED"


async def test_another_authenticator_takes_the_place_of_the_first_when_it_is_confirmed(
    gql: Gql, make: Make, factor: Authenticator, advisor: SignedIn
) -> None:
    own = gql.as_(advisor)
    secret = (await own.change("beginSecondFactor", "enrolment { secret }"))["enrolment"]["secret"]
    assert (await completed(gql, await challenged(gql, advisor), factor.code(1)))["session"]
    second = Authenticator(make, secret)
    # Of the same step as a code of the other, and still good: a step is used up for its own secret.
    assert (await own.change("confirmSecondFactor", CONFIRM, code=second.code()))["userErrors"] == []
    assert refused(await completed(gql, await challenged(gql, advisor), await factor.fresh(advisor))) == ["WRONG_CODE"]
    assert refused(await completed(gql, await challenged(gql, advisor), factor.recovery_codes[0])) == ["WRONG_CODE"]
    assert (await completed(gql, await challenged(gql, advisor), second.code(1)))["session"]


async def test_sessions_that_have_not_proved_the_factor_end_with_its_confirmation(
    gql: Gql, make: Make, advisor: SignedIn
) -> None:
    other = await make.session(advisor.user)
    await enrolled(make, gql, advisor)
    assert reason(await gql.as_(other).ask(VIEWER)) == "REVOKED"
    assert (await gql.as_(advisor).run(VIEWER))["viewer"]


async def test_giving_the_factor_up_needs_a_recent_proof_of_it(
    gql: Gql, make: Make, factor: Authenticator, advisor: SignedIn
) -> None:
    own = gql.as_(advisor)
    await aged(make, advisor)
    for mutation, fields, given in (
        ("disableSecondFactor", "disabled", {}),
        ("replaceRecoveryCodes", "recoveryCodes", {}),
        ("beginSecondFactor", "enrolment { secret }", {}),
        ("confirmSecondFactor", "recoveryCodes", {"code": "123456"}),
    ):
        payload = await own.change(mutation, fields, **given)
        assert [error["code"] for error in payload["userErrors"]] == ["REAUTHENTICATION_NEEDED"]
    # The password is not enough, nor is the code.
    for given in ({"password": PASSWORD}, {"code": factor.code(1)}, {"password": PASSWORD, "code": factor.wrong()}):
        payload = await own.change("reauthenticate", "goodUntil", **given)
        assert refused(payload) in (["WRONG_CODE"], ["WRONG_PASSWORD"])
    assert (await own.change("reauthenticate", "goodUntil", password=PASSWORD, code=factor.code(1)))["goodUntil"]
    assert (await own.change("disableSecondFactor", "disabled"))["disabled"] is True
    assert not (await own.run(FACTOR))["viewer"]["secondFactor"]["enabled"]
    assert (await gql.change("signIn", SIGN_IN, email=advisor.user.email, password=PASSWORD))["session"]
    again = await own.change("disableSecondFactor", "disabled")
    assert refused(again) == ["NO_SECOND_FACTOR"]


async def test_who_has_no_password_proves_itself_by_the_factor(
    gql: Gql, make: Make, factor: Authenticator, advisor: SignedIn
) -> None:
    await make.connection.execute("delete from credentials where id = $1", advisor.user.id)
    await aged(make, advisor)
    own = gql.as_(advisor)
    assert refused(await own.change("reauthenticate", "goodUntil", code=factor.wrong())) == ["WRONG_CODE"]
    assert (await own.change("reauthenticate", "goodUntil", code=factor.code(1)))["goodUntil"]
    without = await make.advisor()
    await make.connection.execute("delete from credentials where id = $1", without.user.id)
    nothing = await gql.as_(without).change("reauthenticate", "goodUntil", password=PASSWORD)
    assert refused(nothing) == ["NO_SECOND_FACTOR"]


async def test_a_changed_password_ends_sign_ins_that_wait_for_the_factor(
    gql: Gql, factor: Authenticator, advisor: SignedIn
) -> None:
    token = await challenged(gql, advisor)
    changed = await gql.as_(advisor).change(
        "changePassword", "changed", currentPassword=PASSWORD, newPassword="another phrase nobody says 7"
    )
    assert changed["changed"]
    assert reason(await gql.ask(COMPLETE, challenge=token, code=factor.code(1))) == "INVALID"


async def test_a_lost_factor_is_taken_away_by_who_looks_after_the_user(
    gql: Gql, make: Make, factor: Authenticator, advisor: SignedIn
) -> None:
    reset = "mutation ($id: ID!) { resetSecondFactor(input: {userId: $id}) { user { id } userErrors { code } } }"
    elsewhere = await make.user(Role.BU_MANAGER, await make.team())
    assert (await gql.as_(elsewhere).ask(reset, id=advisor.id)).codes == ["NOT_FOUND"]
    assert (await gql.as_(advisor).ask(reset, id=advisor.id)).codes == ["FORBIDDEN"]
    admin = await make.user(Role.ADMIN)
    own = (await gql.as_(admin).run(reset, id=admin.id))["resetSecondFactor"]
    assert [error["code"] for error in own["userErrors"]] == ["OWN_ACCOUNT"]
    waiting = await challenged(gql, advisor)
    await aged(make, admin)
    late = (await gql.as_(admin).run(reset, id=advisor.id))["resetSecondFactor"]
    assert [error["code"] for error in late["userErrors"]] == ["REAUTHENTICATION_NEEDED"]
    await gql.as_(admin).change("reauthenticate", "goodUntil", password=PASSWORD)
    assert (await gql.as_(admin).run(reset, id=advisor.id))["resetSecondFactor"]["user"] == {"id": advisor.id}
    assert reason(await gql.as_(advisor).ask(VIEWER)) == "REVOKED"
    assert reason(await gql.ask(COMPLETE, challenge=waiting, code=factor.recovery_codes[0])) == "INVALID"
    assert (await gql.change("signIn", SIGN_IN, email=advisor.user.email, password=PASSWORD))["session"]


def test_the_roles_that_need_a_factor_are_a_setting(cluster: EmbeddedServer) -> None:
    def needing(text: Any) -> frozenset[Role]:
        home = Path(cluster.home)
        given = Settings(environment=Environment.DEVELOPMENT, state_directory=home, second_factor_roles=text)
        return given.second_factor_roles

    assert needing("") == frozenset()
    assert needing("admin, BU_MANAGER") == {Role.ADMIN, Role.BU_MANAGER}
    for wrong in ("NOBODY", "SERVICE"):
        with pytest.raises(ValueError, match="must be roles that sign in"):
            needing(wrong)

"""Authenticators: second factors as their users hold them."""

from datetime import datetime

import pyotp

from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql

BEGIN = "enrolment { secret uri qr }"
CONFIRM = "recoveryCodes session { accessToken }"


class Authenticator:
    """What shows the codes of a secret; each is good once, so it goes from one to the next that would be accepted."""

    def __init__(self, make: Make, secret: str) -> None:
        self.make = make
        self.totp = pyotp.TOTP(secret)
        self.recovery_codes: list[str] = []

    def code(self, steps: int = 0, now: datetime | None = None) -> str:
        """The code of the present step, or of one so many steps before or after."""
        return self.totp.at(now or self.make.services.doors.clock(), counter_offset=steps)

    def wrong(self, now: datetime | None = None) -> str:
        """Six digits that are the code of no step near by."""
        near = {self.code(steps, now) for steps in range(-3, 4)}
        return next(text for number in range(10) if (text := f"{number:06}") not in near)

    async def fresh(self, user: SignedIn) -> str:
        """The present code, whatever was used before."""
        await self.make.connection.execute("update second_factors set last_step = 0 where id = $1", user.user.id)
        return self.code()


async def enrolled(make: Make, gql: Gql, user: SignedIn) -> Authenticator:
    """Give a user a second factor, as it does itself."""
    own = gql.as_(user)
    secret = (await own.change("beginSecondFactor", BEGIN))["enrolment"]["secret"]
    authenticator = Authenticator(make, secret)
    confirmed = await own.change("confirmSecondFactor", CONFIRM, code=authenticator.code())
    assert confirmed["userErrors"] == []
    authenticator.recovery_codes = confirmed["recoveryCodes"]
    return authenticator

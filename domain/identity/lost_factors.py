"""Second factors that are lost with all their recovery codes: a colleague who looks after the user takes them away."""

from uuid import UUID

from domain.access import Action, Viewer, require, require_recent
from domain.errors import Refusal, RefusalCode
from domain.identity import factors
from domain.identity.accounts import end_all_sessions
from domain.identity.administration import managed
from domain.identity.entities import User
from domain.work import Work


async def reset_second_factor(work: Work, viewer: Viewer, user_id: UUID) -> User:
    """Have a user do without its second factor, and end its sessions; its role may have it enrol at the next sign-in.

    Refuses: REAUTHENTICATION_NEEDED, OWN_ACCOUNT, NO_SECOND_FACTOR.
    """
    require(viewer, Action.MANAGE_USERS)
    require_recent(viewer, work.now)
    if user_id == viewer.user_id:
        raise Refusal(RefusalCode.OWN_ACCOUNT, "Not of your own account; ask a colleague.", ("input", "userId"))
    user = await managed(work, viewer, user_id)
    await factors.remove(work, user.id)
    await end_all_sessions(work, user.id)
    return user

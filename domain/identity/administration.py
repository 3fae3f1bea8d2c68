"""Looking after users: who is invited, what role and place each has, and who is shut out."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec

from domain.access import Action, Role, Sight, Viewer, require, require_recent
from domain.audit import Trace
from domain.errors import NotFound, Refusal, RefusalCode
from domain.identity import letters
from domain.identity.accounts import end_all_sessions, mail_link
from domain.identity.entities import User, UserStatus
from domain.identity.links import LinkKind
from domain.identity.recovery import too_many
from domain.identity.users import NOT_MADE, Newcomer, check_place, taken, user_of
from domain.text import invalid
from domain.work import Work

# Whom somebody looks after who does not see everything: people of its unit, with roles below its own.
LED: Final = frozenset({Role.SUPERVISOR, Role.ADVISOR, Role.VIEWER, Role.ANALYST})


class RoleChange(msgspec.Struct, frozen=True):
    """What gives a user, as it stood at `version`, a role and its place in the firm."""

    user_id: UUID
    version: int
    role: Role
    team_id: UUID | None = None
    unit_id: UUID | None = None


async def invite(work: Work, viewer: Viewer, new: Newcomer) -> User:
    """Add a user and mail it an invitation. Refuses: REAUTHENTICATION_NEEDED, INVALID_VALUE, DUPLICATE."""
    require(viewer, Action.MANAGE_USERS)
    require_recent(viewer, work.now)
    unit_id, team_id = await _placed(work, viewer, new.role, unit_id=new.unit_id, team_id=new.team_id)
    placed = msgspec.structs.replace(new, unit_id=unit_id, team_id=team_id)
    user = await user_of(work, placed, UserStatus.INVITED)
    if not await work.accounts.add(user):
        raise taken()
    await mail_link(work, user, LinkKind.INVITATION)
    return user


async def resend_invitation(work: Work, viewer: Viewer, user_id: UUID) -> User:
    """Mail another invitation in place of those before. Refuses: USER_STATUS, TOO_MANY_LINKS."""
    require(viewer, Action.MANAGE_USERS)
    user = await managed(work, viewer, user_id)
    _check_status(user, [UserStatus.INVITED], "Nobody is invited twice: this user has accepted, or is disabled.")
    await work.accounts.end_links(user.id, [LinkKind.INVITATION], work.now)
    if not await mail_link(work, user, LinkKind.INVITATION):
        raise too_many()
    return user


async def change_role(work: Work, viewer: Viewer, change: RoleChange) -> User:
    """Give a user another role and place, at once.

    Refuses: REAUTHENTICATION_NEEDED, OWN_ACCOUNT, INVALID_VALUE, STALE_VERSION, LAST_ADMIN.
    """
    require(viewer, Action.MANAGE_USERS)
    require_recent(viewer, work.now)
    before = await _other(work, viewer, change.user_id)
    if before.role in NOT_MADE:
        raise invalid("userId", f"A user with the role {before.role} keeps it.")
    unit_id, team_id = await _placed(work, viewer, change.role, unit_id=change.unit_id, team_id=change.team_id)
    if change.role is not Role.ADMIN:
        await _check_not_last(work, before)
    after = msgspec.structs.replace(
        before, role=change.role, unit_id=unit_id, team_id=team_id, version=before.version + 1
    )
    # A version that is no longer the last makes the write itself fail.
    await work.accounts.replace(msgspec.structs.replace(before, version=change.version), after)
    work.enqueue(letters.place_changed, after.id, work.new_id())
    return after


async def disable(work: Work, viewer: Viewer, user_id: UUID) -> User:
    """Shut a user out at once. Refuses: REAUTHENTICATION_NEEDED, OWN_ACCOUNT, USER_STATUS, LAST_ADMIN."""
    require(viewer, Action.MANAGE_USERS)
    require_recent(viewer, work.now)
    before = await _other(work, viewer, user_id)
    _check_status(before, [UserStatus.ACTIVE, UserStatus.INVITED], "The user is disabled already.")
    await _check_not_last(work, before)
    after = await _with_status(work, before, UserStatus.DISABLED)
    await work.accounts.end_links(after.id, list(LinkKind), work.now)
    await end_all_sessions(work, after.id)
    work.enqueue(letters.disabled, after.id, work.new_id())
    return after


async def enable(work: Work, viewer: Viewer, user_id: UUID) -> User:
    """Let a user in again; one that had never accepted its invitation is invited again, by `resend_invitation`.

    Refuses: REAUTHENTICATION_NEEDED, OWN_ACCOUNT, USER_STATUS.
    """
    require(viewer, Action.MANAGE_USERS)
    require_recent(viewer, work.now)
    before = await _other(work, viewer, user_id)
    _check_status(before, [UserStatus.DISABLED], "The user is not disabled.")
    accepted = before.role is Role.SERVICE or before.email_verified_at is not None
    was_in = accepted or await work.accounts.has_password(before.id)
    after = await _with_status(work, before, UserStatus.ACTIVE if was_in else UserStatus.INVITED)
    if was_in:
        work.enqueue(letters.enabled, after.id, work.new_id())
    return after


async def sign_out_user(work: Work, viewer: Viewer, user_id: UUID) -> User:
    """End all sessions of a user at once."""
    require(viewer, Action.MANAGE_USERS)
    user = await managed(work, viewer, user_id)
    work.trace(Trace("identity.sign_out_user", "User", user.id))
    await end_all_sessions(work, user.id)
    return user


async def managed(work: Work, viewer: Viewer, user_id: UUID) -> User:
    """A user whom the viewer looks after, with its lock; raises NotFound."""
    user = await work.identities.user(user_id)
    if user.role is Role.ADMIN:
        # All admins' locks in one order, before their own: two who remove each other wait here, one for the other.
        await work.accounts.locked_admins()
    user = await work.accounts.locked(user_id)
    led = viewer.unit_id is not None and user.unit_id == viewer.unit_id and user.role in LED
    if viewer.sight is not Sight.EVERYTHING and not led:
        raise NotFound
    return user


async def _other(work: Work, viewer: Viewer, user_id: UUID) -> User:
    if user_id == viewer.user_id:
        raise Refusal(RefusalCode.OWN_ACCOUNT, "Not of your own account; ask a colleague.", ("input", "userId"))
    return await managed(work, viewer, user_id)


async def _placed(
    work: Work, viewer: Viewer, role: Role, *, unit_id: UUID | None, team_id: UUID | None
) -> tuple[UUID | None, UUID | None]:
    """The unit and the team of a user with a role, whom the viewer then looks after. Refuses: INVALID_VALUE."""
    check_place(role, unit=unit_id, team=team_id)
    leads_a_unit = viewer.sight is not Sight.EVERYTHING
    if leads_a_unit and role not in LED:
        raise invalid("role", "You can give the roles below your own.")
    if team_id is not None:
        team = await work.books.team(viewer, team_id)
        if unit_id not in {None, team.unit_id}:
            raise invalid("unitId", "The team lies in another unit.")
        return team.unit_id, team.id
    if leads_a_unit and unit_id not in {None, viewer.unit_id}:
        raise NotFound
    if unit_id is not None and not await work.books.units(viewer, [unit_id]):
        raise NotFound
    return (viewer.unit_id if leads_a_unit else unit_id), None


async def _check_not_last(work: Work, user: User) -> None:
    """Whether another active admin is left. Refuses: LAST_ADMIN."""
    if user.role is Role.ADMIN and user.status is UserStatus.ACTIVE:
        others = [admin for admin in await work.accounts.locked_admins() if admin.id != user.id]
        if not others:
            raise Refusal(RefusalCode.LAST_ADMIN, "The firm would have no active admin left.", ("input", "userId"))


def _check_status(user: User, allowed: Iterable[UserStatus], message: str) -> None:
    if user.status not in allowed:
        raise Refusal(RefusalCode.USER_STATUS, message, ("input", "userId"))


async def _with_status(work: Work, before: User, status: UserStatus) -> User:
    return await work.accounts.replace(
        before, msgspec.structs.replace(before, status=status, version=before.version + 1)
    )

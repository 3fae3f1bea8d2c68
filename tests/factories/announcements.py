"""Announcements, as admins have made them."""

from datetime import timedelta
from typing import Any

import msgspec

from domain.announcements import Announcement, AnnouncementKind, Audience
from domain.identity import User
from persistence import announcements
from tests.factories.firm import Make


async def announcement(make: Make, admin: User, **given: Any) -> Announcement:
    """One that is for all and shown since an hour ago."""
    shown_from = make.now - timedelta(hours=1)
    made = Announcement(
        id=make.new_id(),
        kind=AnnouncementKind.ANNOUNCEMENT,
        title="Closed on Friday",
        text="As every year.",
        audience=Audience.ALL,
        role=None,
        unit_id=None,
        starts_at=shown_from,
        ends_at=None,
        shown_from=shown_from,
        announced_by=admin.id,
        announced_at=shown_from,
        withdrawn_at=None,
        version=1,
    )
    made = msgspec.structs.replace(made, **given)
    await make.add(announcements.announcements, made)
    return made

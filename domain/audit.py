"""What the audit trail tells beside the changes of rows, which it finds by itself."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec


class Trace(msgspec.Struct, frozen=True):
    """Something that changed no row: a sign-in that was tried, a tax id that was read.

    `facts` stand in the trail as they are; `personal` is encrypted for the person `person_id`, or left out where no
    such person is known.
    """

    action: str
    object_type: str
    object_id: UUID | None = None
    facts: Mapping[str, Any] = {}
    personal: Mapping[str, Any] = {}
    person_id: UUID | None = None

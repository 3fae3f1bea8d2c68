"""What points at an object of any kind: in the words of the assistant, its tools and its readers."""

from typing import Self
from uuid import UUID

import msgspec


class Ref(msgspec.Struct, frozen=True, order=True):
    """An object's kind, such as `client`, and its id; its text is the id that clients of the API know it by."""

    kind: str
    id: UUID

    def __str__(self) -> str:
        """The id as clients see it."""
        return f"{self.kind}_{self.id.hex}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read such a text; raises ValueError for anything else."""
        kind, _, digits = text.strip().rpartition("_")
        ref = cls(kind, UUID(hex=digits))
        if not kind or str(ref) != text.strip():
            raise ValueError("not an id")
        return ref

"""A request that is turned away before anything is executed."""

from collections.abc import Mapping

from domain.errors import Fault, Invalid


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """The request is no GraphQL request that this endpoint takes: answered with this status and fault."""

    def __init__(self, status: int, fault: Fault, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(fault))
        self.status = status
        self.fault = fault
        self.headers = headers or {}

    @classmethod
    def of(cls, status: int, field: str, issue: str, **headers: str) -> "Refused":
        """Name the one thing at fault: a header, a parameter or a key of the body."""
        return cls(status, Invalid.of(field, issue), headers)

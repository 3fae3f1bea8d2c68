"""What can be answered instead of a result: faults, which end an operation's field, and refusals of a rule."""

from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """Why a field could not be answered at all.

    VALIDATION_ERROR: The request cannot be read as the type it claims to be.
    UNAUTHENTICATED: There is no valid session; sign in, or refresh the access token if it has expired.
    FORBIDDEN: The role of the viewer does not allow this action, on any object.
    NOT_FOUND: There is no such object among those that the viewer may see.
    RATE_LIMITED: Too many requests; wait for the stated time.
    QUERY_TOO_COMPLEX: The document is deeper, wider or longer than the server accepts.
    CURSOR_EXPIRED: The event log no longer keeps the cursor; read the objects themselves and start anew.
    UNAVAILABLE: The server cannot reach something it needs; the same request may succeed later.
    INTERNAL: Something went wrong in the server; the request id finds it in the log.
    PERSISTED_QUERY_NOT_FOUND: Nobody has sent the document of this hash yet; send both.
    """

    VALIDATION_ERROR = "VALIDATION_ERROR"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"


class RefusalCode(StrEnum):
    """Which rule declined a change.

    INVALID_VALUE: The value is of the right type but the rule of its field declines it.
    STALE_VERSION: Somebody else has changed the object since this version was read.
    IDEMPOTENCY_CONFLICT: The idempotency key was used before, with other input.
    INSUFFICIENT_CASH: The portfolio does not hold that much cash in that currency on that date.
    INSUFFICIENT_HOLDING: The portfolio does not hold that quantity on that date, or later sales rely on it.
    ENTRY_BEFORE_OPENING: The entry is dated before the portfolio was opened.
    FUTURE_DATE: The date lies in the future of the viewer's today.
    ALREADY_REVERSED: The ledger entry has been reversed before.
    NOT_REVERSIBLE: An entry that reverses another cannot itself be reversed.
    DUPLICATE: Another object already has this unique value.
    HAS_HISTORY: The object has a history and can only be archived.
    ARCHIVED: The object is archived and takes no changes.
    OVERLAPPING_MEMBERSHIP: The person is a member of the book in part of that time already.
    MEMBERSHIP_ENDED: The membership has ended already.
    UNKNOWN_INSTRUMENT: There is no such instrument.
    NOT_TRADED: The instrument is suspended or delisted, or has no price yet.
    LOT_SIZE: The quantity is no multiple of the instrument's lot.
    TICK_SIZE: The limit price is no multiple of the instrument's tick.
    CLIENT_NOT_ACTIVE: The client is not an active one, and does not trade.
    KYC_EXPIRED: The client's KYC is not verified, or has run out; renew it first.
    UNSUITABLE: The instrument is riskier than the client's risk profile allows.
    NEEDS_APPROVAL: The change would need an approval; cancel the order and place another.
    OWN_ORDER: An order is approved or declined by somebody else than who has placed it.
    ILLEGAL_STEP: The order's status does not allow this step.
    OPEN_ORDERS: The client has open orders; cancel them first.
    JOB_NOT_DEAD: The job is no longer dead: it is waiting, running or done.
    LINK_INVALID: The mailed link is wrong, was used before, or is too old.
    TOO_MANY_LINKS: Several links were mailed to the same user in the last hour.
    REGISTRATION_CLOSED: The firm lets nobody become a user by themselves; ask for an invitation.
    USER_STATUS: The user's status does not allow this step.
    OWN_ACCOUNT: This is not done to one's own account; ask a colleague.
    LAST_ADMIN: The firm would have no active admin left.
    REAUTHENTICATION_NEEDED: The change is a sensitive one: prove who you are once more, by `reauthenticate`.
    WRONG_PASSWORD: The password is wrong.
    WEAK_PASSWORD: The password is too short, too common or too easily guessed.
    WRONG_CODE: The code of the second factor is wrong, or was used before.
    LINK_NEEDED: A user has the address of the provider's account: sign in as that user, then link the account.
    NOT_REGISTERED: Nobody signs in by this account of the provider, and nobody becomes a user by it.
    EMAIL_NOT_VERIFIED: The provider has not verified the address of its account.
    PROVIDER_FAILED: The provider did not prove who it is, or the way to it was not begun in this session, was used
        before, or took too long.
    LAST_SIGN_IN: The user would be left without a way to sign in.
    NO_SECOND_FACTOR: There is no second factor, and none was begun.
    SECOND_FACTOR_REQUIRED: The role must have a second factor, which is not disabled.
    ACCOUNT_DISABLED: The service account is disabled.
    KEY_ENDED: The key has ended already, by itself or because it was revoked.
    ALREADY_SEEN: The book is one that the viewer sees already.
    ACCESS_ENDED: The access by a broken glass has ended already.
    NOT_ARCHIVED: The client is archived before its personal data is erased.
    RETAINED: The law has the firm keep the data for some years more.
    ERASED: The personal data was erased, and nothing is kept of it any more.
    READ_ONLY: The conversation is shared with the viewer to be read; its owner alone writes in it.
    NOT_SHAREABLE: The person cannot take part: it does not see every client that the conversation speaks of.
    RUN_ENDED: The run has ended already.
    RUN_NOT_FAILED: The run has not failed, or was tried again already.
    """

    INVALID_VALUE = "INVALID_VALUE"
    STALE_VERSION = "STALE_VERSION"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    INSUFFICIENT_HOLDING = "INSUFFICIENT_HOLDING"
    ENTRY_BEFORE_OPENING = "ENTRY_BEFORE_OPENING"
    FUTURE_DATE = "FUTURE_DATE"
    ALREADY_REVERSED = "ALREADY_REVERSED"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    DUPLICATE = "DUPLICATE"
    HAS_HISTORY = "HAS_HISTORY"
    ARCHIVED = "ARCHIVED"
    OVERLAPPING_MEMBERSHIP = "OVERLAPPING_MEMBERSHIP"
    MEMBERSHIP_ENDED = "MEMBERSHIP_ENDED"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    NOT_TRADED = "NOT_TRADED"
    LOT_SIZE = "LOT_SIZE"
    TICK_SIZE = "TICK_SIZE"
    CLIENT_NOT_ACTIVE = "CLIENT_NOT_ACTIVE"
    KYC_EXPIRED = "KYC_EXPIRED"
    UNSUITABLE = "UNSUITABLE"
    NEEDS_APPROVAL = "NEEDS_APPROVAL"
    OWN_ORDER = "OWN_ORDER"
    ILLEGAL_STEP = "ILLEGAL_STEP"
    OPEN_ORDERS = "OPEN_ORDERS"
    JOB_NOT_DEAD = "JOB_NOT_DEAD"
    LINK_INVALID = "LINK_INVALID"
    TOO_MANY_LINKS = "TOO_MANY_LINKS"
    REGISTRATION_CLOSED = "REGISTRATION_CLOSED"
    USER_STATUS = "USER_STATUS"
    OWN_ACCOUNT = "OWN_ACCOUNT"
    LAST_ADMIN = "LAST_ADMIN"
    REAUTHENTICATION_NEEDED = "REAUTHENTICATION_NEEDED"
    WRONG_PASSWORD = "WRONG_PASSWORD"  # noqa: S105 - a code
    WEAK_PASSWORD = "WEAK_PASSWORD"  # noqa: S105 - a code
    WRONG_CODE = "WRONG_CODE"
    LINK_NEEDED = "LINK_NEEDED"
    NOT_REGISTERED = "NOT_REGISTERED"
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    PROVIDER_FAILED = "PROVIDER_FAILED"
    LAST_SIGN_IN = "LAST_SIGN_IN"
    NO_SECOND_FACTOR = "NO_SECOND_FACTOR"
    SECOND_FACTOR_REQUIRED = "SECOND_FACTOR_REQUIRED"
    ACCOUNT_DISABLED = "ACCOUNT_DISABLED"
    KEY_ENDED = "KEY_ENDED"
    ALREADY_SEEN = "ALREADY_SEEN"
    ACCESS_ENDED = "ACCESS_ENDED"
    NOT_ARCHIVED = "NOT_ARCHIVED"
    RETAINED = "RETAINED"
    ERASED = "ERASED"
    READ_ONLY = "READ_ONLY"
    NOT_SHAREABLE = "NOT_SHAREABLE"
    RUN_ENDED = "RUN_ENDED"
    RUN_NOT_FAILED = "RUN_NOT_FAILED"


class Refusal(Exception):  # noqa: N818 - a refusal is an answer of a rule, not an error
    """A rule declines a change; the mutation's payload carries it as a user error.

    `field` is the path of the input field at fault, `facts` are values that the message may name.
    """

    def __init__(self, code: RefusalCode, message: str, field: tuple[str, ...] = (), **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.facts = facts


class Fault(Exception):  # noqa: N818 - as for Refusal: expected, classed and coded
    """An expected failure that ends a field: a top-level GraphQL error with a code.

    `details` names the places at fault, as pairs of a field's path and what is wrong with it.
    """

    code: ErrorCode = ErrorCode.INTERNAL
    message = "The request could not be answered."

    def __init__(self, message: str | None = None, details: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message or self.message)
        self.details = details

    @property
    def extensions(self) -> dict[str, Any]:
        """What graphql-core copies to the error."""
        return {
            "code": self.code.value,
            "details": [{"field": field, "issue": issue} for field, issue in self.details],
        }


class Invalid(Fault):
    """Input that cannot be read as its type."""

    code = ErrorCode.VALIDATION_ERROR
    message = "The input is not valid."

    @classmethod
    def of(cls, field: str, issue: str) -> "Invalid":
        """Name the one field at fault."""
        return cls(f"{field}: {issue}" if field else issue, ((field, issue),))


class Unauthenticated(Fault):
    """No valid session. `reason` tells an expired token (refresh and repeat) from an invalid one (sign in)."""

    code = ErrorCode.UNAUTHENTICATED
    message = "Sign in first."

    def __init__(self, message: str | None = None, *, reason: str = "MISSING") -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def extensions(self) -> dict[str, Any]:
        """The code and the reason: MISSING, INVALID, EXPIRED or REVOKED."""
        return {**super().extensions, "reason": self.reason}


class Forbidden(Fault):
    """The viewer's role does not allow the action, whatever the object."""

    code = ErrorCode.FORBIDDEN
    message = "Your role does not allow this."


class NotFound(Fault):
    """There is no such object for this viewer."""

    code = ErrorCode.NOT_FOUND
    message = "There is no such object."


class RateLimited(Fault):
    """Too much was asked for in a time; `retry_after` is in seconds."""

    code = ErrorCode.RATE_LIMITED
    message = "Too many requests; wait a while."

    def __init__(self, message: str | None = None, *, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def extensions(self) -> dict[str, Any]:
        """The code and the seconds to wait."""
        return {**super().extensions, "retryAfter": self.retry_after}


class CursorExpired(Fault):
    """The event log no longer keeps what followed the cursor."""

    code = ErrorCode.CURSOR_EXPIRED
    message = "The cursor is older than the event log."


class TooComplex(Fault):
    """The document exceeds a limit of the server."""

    code = ErrorCode.QUERY_TOO_COMPLEX
    message = "The document is too complex."


class Unavailable(Fault):
    """Something that the server needs does not answer; `retry_after` is in seconds."""

    code = ErrorCode.UNAVAILABLE
    message = "The service is not available for the moment."

    def __init__(self, message: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def extensions(self) -> dict[str, Any]:
        """The code and the seconds to wait."""
        return {**super().extensions, "retryAfter": self.retry_after}

"""Everything that can go wrong between Frameroom and a phone system, as types.

Each error says whose fault it was, carries a stable code, and what to do next. No message ever
contains a request or a response of the phone system: those may carry secrets (connectors rule 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Fault(StrEnum):
    """Who can put it right."""

    ENGINEER = "engineer"
    CUSTOMER_SYSTEM = "customer's system"
    OPERATOR = "operator"
    FRAMEROOM = "frameroom"


class ConnectorError(Exception):
    """Base of all connector errors: `code` is stable, `next_step` tells the reader what to do."""

    code = "connector"
    fault = Fault.CUSTOMER_SYSTEM
    default_next = "Try again; if it goes on, tell the operator."

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step or self.default_next


class Unreachable(ConnectorError):
    """No connection, or it was lost before anything was asked."""

    code = "unreachable"
    default_next = (
        "Try again in a minute; if it goes on, tell the operator (`frameroom system check` says where it ends)."
    )


class IdentityMismatch(ConnectorError):
    """The host key or certificate is not the pinned one. Nothing was sent."""

    code = "identity-mismatch"
    fault = Fault.OPERATOR
    default_next = "Do not go on. Ask the customer whether the phone system was replaced, then pin the new key."


class PinUnusable(IdentityMismatch):
    """What is pinned can prove nothing there. Nobody was dialled."""


class CredentialRefused(ConnectorError):
    """The phone system refused our credential."""

    code = "credential-refused"
    fault = Fault.OPERATOR
    default_next = "The operator must store the current credential (`frameroom system credential`)."


class SecretReadable(ConnectorError):
    """The credential could read a secret although the connector promises that it cannot."""

    code = "secret-readable"
    fault = Fault.OPERATOR
    default_next = "Narrow the credential's rights as the connector's page says; nothing was read."


class Refused(ConnectorError):
    """The phone system understood and said no."""

    code = "refused"


class NotFound(ConnectorError):
    """There is no such person on the phone system (any more)."""

    code = "not-found"
    fault = Fault.ENGINEER
    default_next = "Look again with `find`; the person may have been removed or renumbered."


class Conflict(ConnectorError):
    """The value changed since it was last shown; nothing was written."""

    code = "conflict"
    fault = Fault.ENGINEER
    default_next = "`show` the person again and repeat the change if it is still wanted."


class RateLimited(ConnectorError):
    """The phone system asks us to slow down."""

    code = "rate-limited"

    def __init__(self, message: str, *, retry_after_ms: int, next_step: str | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.retry_after_ms = retry_after_ms


class OutcomeUnknown(ConnectorError):
    """A write was sent and the answer was lost: it may or may not have happened."""

    code = "outcome-unknown"
    default_next = "`show` the person to see which it was. A reset is repeated by a person, never on its own."


class ProtocolViolation(ConnectorError):
    """The phone system answered something that its protocol does not allow, or too much, or too slowly."""

    code = "protocol"


class NotSupported(ConnectorError):
    """This connector cannot honestly do that on this phone system."""

    code = "not-supported"
    fault = Fault.ENGINEER
    default_next = (
        "It is done at the phone system itself, by whoever looks after that; ask the operator what can be done here."
    )


class InvalidValue(ConnectorError):
    """A value that must not be sent: control characters, the protocol's metacharacters, wrong shape."""

    code = "invalid-value"
    fault = Fault.ENGINEER
    default_next = "Correct the value and try again."


class RequestNotAllowed(ConnectorError):
    """The guard stopped a request that is not on the allow-list: a bug in a connector, never sent."""

    code = "request-not-allowed"
    fault = Fault.FRAMEROOM
    default_next = "Report this: a connector tried to send something it may not."


@contextmanager
def looking_again() -> Iterator[None]:
    """Around looking at what was just written: that look may fail, and the write was done nevertheless.

    "Unreachable" alone would read as if nothing had happened. OutcomeUnknown in its place.
    """
    try:
        yield
    except (Unreachable, IdentityMismatch, ProtocolViolation, RateLimited, Refused) as error:
        raise OutcomeUnknown("it was written, and the connection was lost before it could be shown again") from error

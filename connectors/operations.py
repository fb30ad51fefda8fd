"""What an agreement can name, and the kinds of password: words alone, without what it takes to do them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Operation(StrEnum):
    """What an agreement can name. FIND and LIST_ALL are granted apart.

    DIAG and the two of the guarded console, which are granted apart too, are additions to the five; so is VISIT, work
    that Frameroom is not in between at.
    """

    FIND = "find"
    LIST_ALL = "list-all"
    VIEW = "view"
    ALTER = "alter"
    REMOVE = "remove"
    RESET_VOICEMAIL = "reset-voicemail"
    RESET_SIP = "reset-sip"
    RESET_PORTAL = "reset-portal"
    DIAG = "diag"
    CONSOLE_LOOK = "console-look"
    CONSOLE_ACT = "console-act"
    VISIT = "visit"


PEOPLE: Final = frozenset(
    {
        Operation.FIND, Operation.LIST_ALL, Operation.VIEW, Operation.ALTER, Operation.REMOVE,
        Operation.RESET_VOICEMAIL, Operation.RESET_SIP, Operation.RESET_PORTAL,
    }
)  # fmt: skip
"""The five: what is done to people. A connector says what it can by this, never by all but some of `Operation`: what
is added there later is nobody's until a connector says so."""
CONSOLE: Final = frozenset({Operation.DIAG, Operation.CONSOLE_LOOK, Operation.CONSOLE_ACT})
"""The additions to the five: what sends a line to a phone system's own prompt."""
OUTSIDE: Final = frozenset({Operation.VISIT})
"""What no connector does: Frameroom is not in between, reaches nothing, and records nothing."""
NO_CONNECTOR: Final = "none"
"""The family of phone systems that Frameroom does not reach (connectors/none)."""

"""What an agreement can name, and the kinds of password: words alone, without what it takes to do them."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """What an agreement can name. FIND and LIST_ALL are granted apart; DIAG is an addition to the five."""

    FIND = "find"
    LIST_ALL = "list-all"
    VIEW = "view"
    ALTER = "alter"
    REMOVE = "remove"
    RESET_VOICEMAIL = "reset-voicemail"
    RESET_SIP = "reset-sip"
    RESET_PORTAL = "reset-portal"
    DIAG = "diag"

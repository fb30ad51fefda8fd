"""The only lines that can be sent to the helper (`transport.helper.wire` writes them)."""

from __future__ import annotations

from typing import Final

from connectors.console import FREEPBX, Class, only
from connectors.guard import Guard, Template, digest, number, optional, secret, text
from connectors.transport.helper import becoming

MAX_PAGE: Final = 500
NAME_LENGTH: Final = 50
"""Characters that FreePBX's tables hold of a name."""
_ID: Final = text(20, pattern=r"[0-9]+")
# What voicemail.conf, a caller id or Asterisk's console give a meaning of their own cannot be in a value.
_NAME: Final = text(NAME_LENGTH, pattern=r'[^\s"\\<>;,|]([^"\\<>;,|]*[^\s"\\<>;,|])?')
_EMAIL: Final = optional(text(254, pattern=r"[\w.!#$%&'*+/=?^{}~-]{1,64}@[\w-]+(\.[\w-]+)+"))
_DDI: Final = optional(text(16, pattern=r"\+[1-9][0-9]{5,14}"))
_KIND: Final = text(10, pattern="voicemail|sip|portal")

GUARD: Final = Guard(
    Template("hello", False),
    Template("check", False),
    Template("page", False, {"cursor": optional(_ID), "limit": number(1, MAX_PAGE)}),
    Template("find", False, {"words": text(200), "limit": number(1, MAX_PAGE)}),
    Template("view", False, {"id": _ID}),
    Template("devices", False, {"id": _ID}),
    Template("plan", False, {"id": _ID}),
    Template("rules", False, {"id": _ID, "kind": _KIND}),
    Template("alter", True, {"id": _ID, "name": becoming(_NAME), "email": becoming(_EMAIL), "ddi": becoming(_DDI)}),
    Template("remove", True, {"id": _ID, "extension": digest, "name": digest}),
    Template("reset", True, {"id": _ID, "kind": _KIND, "secret": secret}),
    Template("look", False, {"line": only(FREEPBX, Class.LOOK)}),
    Template("act", True, {"line": only(FREEPBX, Class.ACT)}),
)

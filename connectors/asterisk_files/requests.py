"""The only lines that can be sent to the helper: templates, and how each is written."""

from __future__ import annotations

from typing import Any, Final

from connectors.console import ASTERISK, Class, only
from connectors.errors import InvalidValue
from connectors.guard import Allowed, Check, Guard, Template, digest, number, optional, secret, text

MAX_PAGE: Final = 500
# What Asterisk's files or its caller ids give a meaning of their own cannot be in a value (the helper refuses it too).
_ID: Final = text(80, pattern=r"[A-Za-z0-9][A-Za-z0-9._+@-]*")
_NAME: Final = text(60, pattern=r'[^\s"\\<>;,|]([^"\\<>;,|]*[^\s"\\<>;,|])?')
_EMAIL: Final = optional(text(254, pattern=r"[\w.!#$%&'*+/=?^{}~-]{1,64}@[\w-]+(\.[\w-]+)+"))
_DDI: Final = optional(text(16, pattern=r"\+[1-9][0-9]{5,14}"))


def _change(inner: Check) -> Check:
    """None (stays as it is), or (fingerprint of what it must be now, new value)."""

    def check(name: str, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, tuple) or len(value) != 2:
            raise InvalidValue(f"{name} must say what it was and what it becomes")
        digest(name, value[0])
        inner(name, value[1])

    return check


_KIND: Final = text(10, pattern="voicemail|sip")

GUARD: Final = Guard(
    Template("hello", False),
    Template("check", False),
    Template("page", False, {"cursor": optional(_ID), "limit": number(1, MAX_PAGE)}),
    Template("find", False, {"words": text(200), "limit": number(1, MAX_PAGE)}),
    Template("view", False, {"id": _ID}),
    Template("devices", False, {"id": _ID}),
    Template("plan", False, {"id": _ID}),
    Template("rules", False, {"id": _ID, "kind": _KIND}),
    Template("alter", True, {"id": _ID, "name": _change(_NAME), "email": _change(_EMAIL), "ddi": _change(_DDI)}),
    Template("remove", True, {"id": _ID, "extension": digest, "name": digest}),
    Template("reset", True, {"id": _ID, "kind": _KIND, "secret": secret}),
    Template("look", False, {"line": only(ASTERISK, Class.LOOK)}),
    Template("act", True, {"line": only(ASTERISK, Class.ACT)}),
)


def wire(request: Allowed) -> dict[str, Any]:
    """An allowed request as the helper takes it."""
    values = request.values
    match request.name:
        case "alter":
            changes = {key: list(values[key]) for key in ("name", "email", "ddi") if values[key] is not None}
            if "ddi" in changes:
                was, becomes = changes.pop("ddi")
                changes["ddis"] = [was, [becomes] if becomes else []]
            return {"do": "alter", "id": values["id"], "changes": changes}
        case "remove":
            return {"do": "remove", "id": values["id"], "expected": {k: values[k] for k in ("extension", "name")}}
        case name:
            return {"do": name, **values}

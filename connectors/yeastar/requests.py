"""Everything that this connector can send to a Yeastar P-Series, by name, and the bytes of each.

What is not here cannot be sent: `Web` takes what `GUARD` let through, and `render` knows no other request. The three
interfaces that can answer with a password (`extension/getpassword`, `extension/get`, `extension/query`) have no name
here, and the older `/api/v2.0.0` of the S-Series, which tells passwords in every answer about an extension, no path.

Source: Yeastar P-Series Developer Guide (help.yeastar.com), Appliance, Software and Cloud Edition: "Get Access Token",
"Refresh Access Token", "Revoke Access Token", "Query Extension List", "Search Specific Extensions", "Edit an
Extension", "Delete an Extension", "Query Inbound Route List", "Query Information of Multiple Inbound Routes", "Query
PBX Information"; limits of values also from "Extension Parameters" of the Administrator Guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Allowed, Check, Guard, Template, number, secret_like, text
from connectors.transport.web import Call

MOST_ROUTES: Final = 100
"""Routes asked for at once: each may hold hundreds of numbers."""
KINDS_OF_BODY: Final = ("application/json", "text/plain", "text/html")
"""The documentation does not say which; a page that says "not found" is the last. What is read is read as JSON."""

_BASE: Final = "/openapi/v1.0/"
_OPAQUE: Final = text(4096, pattern=r"[A-Za-z0-9._~+/=-]{8,4096}")
_PRINTABLE: Final = text(256, pattern=r"[!-~]{1,256}")
_ID: Final = number(1, (1 << 31) - 1)
_PAGE: Final = {"page": number(1, 1_000_000), "size": number(1, 1000)}
_NUMBER: Final = text(8, pattern=r"[0-9]{1,8}")
_PART: Final = text(63, pattern=r"(?:\S+(?: \S+)*)?")
_EMAIL: Final = text(255, pattern=r"(?:[A-Za-z0-9_][A-Za-z0-9_.'-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)?")
_VALUES: Final[Mapping[str, Check]] = {"first_name": _PART, "last_name": _PART, "email_addr": _EMAIL}
_WORDS: Final = {"first_name": "the first name", "last_name": "the last name", "email_addr": "the address"}
TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{8,4096}")


def _values(name: str, value: object) -> None:
    """What a change may touch: both parts of the name, the address, or all three."""
    if not isinstance(value, dict) or not value or not set(value) <= set(_VALUES):
        raise InvalidValue(f"{name} must be parts of a name, or an address")
    if ("first_name" in value) != ("last_name" in value) or value.get("first_name") == "":
        raise InvalidValue(f"{name} must hold a first name, and a last name or none")
    for key, inner in value.items():
        _VALUES[key](_WORDS[key], inner)


def _ids(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not 1 <= len(value) <= MOST_ROUTES:
        raise InvalidValue(f"{name} must be from 1 to {MOST_ROUTES} routes")
    for item in value:
        _ID(name, item)


GUARD: Final = Guard(
    Template("sign-in", False, {"client": _PRINTABLE, "secret": _PRINTABLE}),
    Template("refresh", False, {"refresh": _OPAQUE}),
    Template("sign-out", False),
    Template("system", False),
    Template("people", False, _PAGE),
    Template("search", False, {"number": _NUMBER} | _PAGE),
    Template("routes", False, _PAGE),
    Template("route-numbers", False, {"ids": _ids}),
    Template("change", True, {"id": _ID, "values": _values}),
    Template("set-sip", True, {"id": _ID, "password": secret_like(r"[A-Za-z0-9]{8,63}")}),
    Template(
        "set-portal", True,
        {"id": _ID, "password": secret_like(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{10,63}")},
    ),
    Template("remove", True, {"id": _ID}),
)  # fmt: skip


def _got(request: Allowed) -> tuple[str, dict[str, Any]] | None:
    """Interface and query of what is asked with GET. A removal is, too, as the vendor has it."""
    values = request.values
    by_id = {"sort_by": "id", "order_by": "asc"}
    match request.name:
        case "sign-out":
            return "del_token", {}
        case "system":
            return "system/information", {}
        case "people" | "routes" as name:
            interface = "extension/list" if name == "people" else "inbound_route/list"
            return interface, {"page": values["page"], "page_size": values["size"]} | by_id
        case "search":
            paged = {"page": values["page"], "page_size": values["size"]}
            return "extension/search", paged | by_id | {"search_value": values["number"]}
        case "route-numbers":
            return "inbound_route/query", {"ids": ",".join(map(str, values["ids"]))}
        case "remove":
            return "extension/delete", {"id": values["id"]}
    return None


def _posted(request: Allowed) -> tuple[str, dict[str, Any]] | None:
    """Interface and body of what is asked with POST."""
    values = request.values
    match request.name:
        case "sign-in":
            return "get_token", {"username": values["client"], "password": values["secret"]}
        case "refresh":
            return "refresh_token", {"refresh_token": values["refresh"]}
        case "change":
            return "extension/update", {"id": values["id"]} | dict(values["values"])
        case "set-sip":
            return "extension/update", {"id": values["id"], "reg_password": values["password"]}
        case "set-portal":
            return "extension/update", {"id": values["id"], "user_password": values["password"]}
    return None


def render(request: Allowed, token: str) -> Call:
    """The bytes of a request; the token goes into the query, as the vendor has it, and so no address is ever shown.

    RequestNotAllowed for what this guard did not let through.
    """
    request = GUARD.require(request)
    if found := _got(request):
        interface, query = found
        return Call("GET", _address(interface, query, token), takes=KINDS_OF_BODY)
    if found := _posted(request):
        interface, values = found
        body = json.dumps(values, ensure_ascii=False).encode()
        # Signing in, and a new token for an old one, are the two that are asked without one.
        address = _address(interface, {}, "" if request.name in ("sign-in", "refresh") else token)
        return Call("POST", address, {"Content-Type": "application/json"}, body, KINDS_OF_BODY)
    raise RequestNotAllowed("there are no bytes for that request")


def _address(interface: str, query: Mapping[str, Any], token: str) -> str:
    if token and not TOKEN.fullmatch(token):
        raise RequestNotAllowed("the token is none that this phone system gives")
    quoted = urlencode({**query, "access_token": token} if token else query)
    return f"{_BASE}{interface}?{quoted}" if quoted else f"{_BASE}{interface}"

"""All that can be sent: lines to the helper (`line`), and, where it is set up, questions to FreePBX's API (`call`).

The API is asked two questions in GraphQL, each a fixed text whose values travel apart from it; no mutation has a text
here, and no text names a field that holds a secret (`extPassword`, `password`). Neither way takes a request of the
other's: the client's secret is no line to a helper, and a new password goes to no API.

Sources: FreePBX/core Api/Gql/Users.php and Extensions.php, FreePBX/api Oauth/Oauth.php and Gql/Api.php (16.0, 17.0).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from connectors.console import FREEPBX, Class, only
from connectors.errors import RequestNotAllowed
from connectors.guard import Allowed, Guard, Template, digest, number, optional, secret, text
from connectors.transport.helper import becoming, wire
from connectors.transport.web import Call

MAX_PAGE: Final = 500
NAME_LENGTH: Final = 50
"""Characters that FreePBX's tables hold of a name."""
_ID: Final = text(20, pattern=r"[0-9]+")
# What voicemail.conf, a caller id or Asterisk's console give a meaning of their own cannot be in a value.
_NAME: Final = text(NAME_LENGTH, pattern=r'[^\s"\\<>;,|]([^"\\<>;,|]*[^\s"\\<>;,|])?')
_EMAIL: Final = optional(text(254, pattern=r"[\w.!#$%&'*+/=?^{}~-]{1,64}@[\w-]+(\.[\w-]+)+"))
_DDI: Final = optional(text(16, pattern=r"\+[1-9][0-9]{5,14}"))
_KIND: Final = text(10, pattern="voicemail|sip|portal")
_CLIENT: Final = {"client": text(128, pattern="[A-Za-z0-9_-]{8,128}"), "secret": text(128, pattern="[!-~]{8,128}")}
_API: Final = "api-"
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,4000}\.[A-Za-z0-9_-]{1,8000}\.[A-Za-z0-9_-]{1,4000}")
"""A JSON web token (RFC 7519), which is what FreePBX gives."""
SCOPE: Final = "gql:core:read"
_SCOPES: Final = {"api-token": SCOPE, "api-wider": "gql"}

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
    Template("api-token", False, _CLIENT),
    Template("api-wider", False, _CLIENT),  # would more be given than was meant? What comes is dropped unread
    Template("api-people", False, {"skip": number(0, 1_000_000), "first": number(1, MAX_PAGE)}),
    Template("api-person", False, {"id": _ID}),
)
_QUERIES: Final = {
    "api-people": "query($first:Int,$after:String){allCoreUsers(first:$first,after:$after)"
    "{pageInfo{hasNextPage} coreUser{extension name}}}",
    "api-person": "query($id:ID){fetchExtension(extensionId:$id){extensionId user{name}}}",
}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON: Final = {"Content-Type": "application/json"}


def line(request: Allowed) -> dict[str, Any]:
    """What the helper is told. RequestNotAllowed for what is the API's."""
    allowed = GUARD.require(request)
    if allowed.name.startswith(_API):
        raise RequestNotAllowed("that is no request to the helper")
    return wire(allowed)


def call(request: Allowed, token: str) -> Call:
    """What the API is asked. RequestNotAllowed for what is the helper's, and without a token that is one."""
    allowed = GUARD.require(request)
    values = allowed.values
    if (scope := _SCOPES.get(allowed.name)) is not None:
        asked = {"grant_type": "client_credentials", "client_id": values["client"], "client_secret": values["secret"]}
        return Call("POST", "/admin/api/api/token", _FORM, urlencode(asked | {"scope": scope}).encode())
    if (query := _QUERIES.get(allowed.name)) is None:
        raise RequestNotAllowed("that is no request to the API")
    if not TOKEN.fullmatch(token):
        raise RequestNotAllowed("the token is none that FreePBX gives")
    body = json.dumps({"query": query, "variables": _variables(values)}).encode()
    return Call("POST", "/admin/api/api/gql", _JSON | {"Authorization": f"Bearer {token}"}, body)


def _variables(values: Mapping[str, Any]) -> dict[str, Any]:
    if "id" in values:
        return {"id": values["id"]}
    # The place after which to go on, as FreePBX's own library writes it (graphql-relay, ArrayConnection).
    after = base64.b64encode(f"arrayconnection:{values['skip'] - 1}".encode()).decode()
    return {"first": values["first"], "after": after if values["skip"] else None}

"""Everything that this connector can send to a 3CX, by name, and the bytes of each.

What is not here cannot be sent: the link takes what `GUARD` let through, and `render` knows no other request. Each look
names its fields (`$select`), for a user without it carries every password; nothing is ever expanded; none of the
calls that hand passwords out (ExportExtensions, GetPhoneSecret, GenerateProvLink), or that echo a user (`POST /Users`),
has a name. Whatever is looked for stands in quotes, doubled where it holds one, and percent-encoded as a whole.

Source: 3CX's own OpenAPI file (3cx/xapi-tutorial, swagger.yaml, 20.0.10); OData 4.01, part 2 (URL conventions), section
5.1.1.6.1 for the quotes; RFC 6749, section 4.4 for the token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Allowed, Check, Guard, Template, number, text
from connectors.guard import optional as optionally
from connectors.transport.web import Call

MOST_A_PAGE: Final = 500
MOST_RULES: Final = 500
MOST_NUMBERS: Final = 16
MOST_WORDS: Final = 5
_MOST_NODES: Final = 100
"""Parts that one filter may have before ASP.NET's OData, which 3CX is made with, refuses it (`MaxNodeCount`)."""
_XAPI: Final = "/xapi/v1"
_USER: Final = "Id,Number,FirstName,LastName,EmailAddress"
_RULE: Final = "Id,RuleName,Data,Condition,OfficeHoursDestination"
_RULE_WHOLE: Final = f"{_RULE},OutOfOfficeHoursDestination,HolidaysDestination"

EXTENSION: Final = text(20, pattern=r"[A-Za-z0-9*#._-]+")
NAME_PART: Final = text(100, pattern=r"(?:\S(?:.*\S)?)?")
EMAIL: Final = text(254, pattern=r"(?:[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\"]+)?")
_DIGITS: Final = text(20, pattern=r"[0-9]{3,20}")
_DATA: Final = text(40, pattern=r"\+?[0-9]{3,20}")
_ETAG: Final = text(200, pattern=r"(?:W/)?\"[!#-~]*\"|\*")
_ID: Final = number(0, 2_147_483_647)
_SKIP: Final = number(0, 10_000_000)

KINDS: Final[Mapping[str, str]] = {"voicemail": "VoicemailPIN", "sip": "SipAuth", "portal": "WebclientPassword"}
"""By kind of password, what 3CX calls it in `Pbx.Regenerate`."""
_OPTIONS: Final = (
    "SipAuth", "WebclientPassword", "VoicemailPIN", "DeskphonePassword", "ConfigurationLink", "RpsKey",
    "SendWelcomeEmail",
)  # fmt: skip


def _several(each: Check, most: int) -> Check:
    def check(name: str, value: object) -> None:
        if not isinstance(value, tuple) or not 1 <= len(value) <= most:
            raise InvalidValue(f"{name} must be from 1 to {most} at once")
        for item in value:
            each(name, item)

    return check


_WORD: Final = text(80, pattern=r"\S+")


def _words(name: str, value: object) -> None:
    """Words, each with the extensions that it stands for besides: (word, extensions)."""
    if not isinstance(value, tuple) or not 1 <= len(value) <= MOST_WORDS:
        raise InvalidValue(f"at most {MOST_WORDS} words can be looked for at once")
    nodes = -1
    for item in value:
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[1], tuple):
            raise InvalidValue(f"{name} must be words with the extensions that they stand for")
        _WORD("a word", item[0])
        for extension in item[1]:
            EXTENSION("an extension", extension)
        nodes += 19 + 4 * len(item[1])
    if nodes > _MOST_NODES:
        raise InvalidValue("more is looked for at once than the phone system takes", next_step="Give fewer words.")


def _kind(name: str, value: object) -> None:
    if not isinstance(value, str) or value not in KINDS:
        raise InvalidValue(f"{name} must be one of {', '.join(KINDS)}")


_PAGE: Final = {"skip": _SKIP, "top": number(1, MOST_A_PAGE + 1)}

GUARD: Final = Guard(
    Template("token", False, {"client": text(100, pattern=r"[!-~]+"), "secret": text(512, pattern=r"[ -~]+")}),
    Template("status", False),
    Template("users", False, _PAGE),
    Template("user", False, {"id": _ID}),
    Template("registered", False, {"id": _ID}),
    Template("search", False, {"words": _words, "top": number(1, MOST_A_PAGE)}),
    Template("numbered", False, {"numbers": _several(EXTENSION, MOST_NUMBERS)}),
    Template("rules", False, {"skip": _SKIP}),
    Template("rules-of", False, {"numbers": _several(EXTENSION, MOST_NUMBERS), "skip": _SKIP}),
    Template("rules-between", False, {"low": EXTENSION, "high": EXTENSION, "skip": _SKIP}),
    Template("rules-naming", False, {"extension": EXTENSION, "skip": _SKIP}),
    Template("rules-holding", False, {"digits": _DIGITS, "skip": _SKIP}),
    Template("trunk-numbers", False, {"digits": _DIGITS}),
    Template("set-name", True, {"id": _ID, "first": NAME_PART, "last": NAME_PART}),
    Template("set-email", True, {"id": _ID, "email": EMAIL}),
    Template("remove-user", True, {"id": _ID, "etag": optionally(_ETAG)}),
    Template("regenerate", True, {"id": _ID, "kind": _kind}),
    Template("set-rule", True, {"id": _ID, "data": _DATA}),
    Template("remove-rule", True, {"id": _ID}),
    Template("add-rule", True, {"data": _DATA, "trunk": _ID, "extension": EXTENSION}),
)


def literal(value: str) -> str:
    """A text inside a filter: in quotes, every quote in it doubled, so that nothing in it ends it."""
    return "'" + value.replace("'", "''") + "'"


def _any_of(path: str, values: Iterable[str]) -> str:
    return " or ".join(f"{path} eq {literal(value)}" for value in values)


def _quoted(text: str) -> str:
    """As it stands in a query (RFC 3986, section 2.1)."""
    return quote(text, safe=",")


_OFFICE: Final = "OfficeHoursDestination/Number"
_LEADS_TO: Final = _quoted(f"{_OFFICE} eq ")
_OR: Final = _quoted(" or ")


def _word_filter(word: str, extensions: tuple[str, ...]) -> str:
    small = literal(word.lower())
    parts = [f"contains(tolower({name}),{small})" for name in ("FirstName", "LastName", "EmailAddress")]
    parts.append(f"contains(Number,{literal(word)})")
    if extensions:
        parts.append(_any_of("Number", extensions))
    return f"({' or '.join(parts)})"


def _query(path: str, select: str, options: str = "") -> str:
    return f"{_XAPI}/{path}?$select={select}{options}"


def _rules(filtered: str, skip: int, select: str = _RULE) -> str:
    """`filtered`: quoted, or empty for all rules."""
    wanted = f"&$filter={filtered}" if filtered else ""
    return _query("InboundRules", select, f"{wanted}&$orderby=Id&$top={MOST_RULES}&$skip={skip}")


def _look(name: str, v: Mapping[str, Any]) -> str | None:
    match name:
        case "status":
            return _query("SystemStatus", "Version")
        case "users":
            return _query("Users", _USER, f"&$orderby=Number&$top={v['top']}&$skip={v['skip']}&$count=true")
        case "user":
            return _query(f"Users({v['id']})", _USER)
        case "registered":
            return _query(f"Users({v['id']})", "Id,IsRegistered")
        case "search":
            wanted = " and ".join(_word_filter(*word) for word in v["words"])
            return _query("Users", _USER, f"&$filter={_quoted(wanted)}&$orderby=Number&$top={v['top']}")
        case "numbered":
            wanted = _any_of("Number", v["numbers"])
            return _query("Users", _USER, f"&$filter={_quoted(wanted)}&$orderby=Number&$top={MOST_NUMBERS}")
        case "rules":
            return _rules("", v["skip"], _RULE_WHOLE)
        case "rules-of":
            # Every `show` asks this: quoting the words around each number anew took a tenth of what we add to it.
            return _rules(_OR.join(_LEADS_TO + _quoted(literal(one)) for one in v["numbers"]), v["skip"])
        case "rules-between":
            wanted = f"{_OFFICE} ge {literal(v['low'])} and {_OFFICE} le {literal(v['high'])}"
            return _rules(_quoted(wanted), v["skip"])
        case "rules-naming":
            where = (_OFFICE, "OutOfOfficeHoursDestination/Number", "HolidaysDestination/Number")
            wanted = " or ".join(f"{path} eq {literal(v['extension'])}" for path in where)
            return _rules(_quoted(wanted), v["skip"], _RULE_WHOLE)
        case "rules-holding":
            return _rules(_quoted(f"contains(Data,{literal(v['digits'])})"), v["skip"])
        case "trunk-numbers":
            wanted = f"contains(Number,{literal(v['digits'])})"
            return _query("DidNumbers", "Number,TrunkId", f"&$filter={_quoted(wanted)}&$top=50")
    return None


def _change(name: str, v: Mapping[str, Any]) -> tuple[str, str, object]:
    """Method, path and body of a write."""
    match name:
        case "set-name":
            return "PATCH", f"Users({v['id']})", {"FirstName": v["first"], "LastName": v["last"]}
        case "set-email":
            return "PATCH", f"Users({v['id']})", {"EmailAddress": v["email"]}
        case "remove-user":
            return "DELETE", f"Users({v['id']})", None
        case "regenerate":
            wanted = {KINDS[v["kind"]], "SendWelcomeEmail"}
            return "POST", f"Users({v['id']})/Pbx.Regenerate", {"opts": {one: one in wanted for one in _OPTIONS}}
        case "set-rule":
            return "PATCH", f"InboundRules({v['id']})", {"Data": v["data"]}
        case "remove-rule":
            return "DELETE", f"InboundRules({v['id']})", None
        case "add-rule":
            there = {"To": "Extension", "Number": v["extension"]}
            return "POST", "InboundRules", {
                "RuleName": f"Extension {v['extension']}", "Condition": "BasedOnDID", "CallType": "AllCalls",
                "Data": v["data"], "TrunkDN": {"Id": v["trunk"]}, "OfficeHoursDestination": there,
                "OutOfOfficeHoursDestination": there, "HolidaysDestination": there,
            }  # fmt: skip
    raise RequestNotAllowed("there are no bytes for that request")


def render(request: Allowed, token: str) -> Call:
    """The bytes of a request. RequestNotAllowed for what this guard did not let through."""
    request = GUARD.require(request)
    v = request.values
    if request.name == "token":
        form = {"client_id": v["client"], "client_secret": v["secret"], "grant_type": "client_credentials"}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return Call("POST", "/connect/token", kind, urlencode(form).encode("ascii"))
    headers = {"Authorization": f"Bearer {token}"}
    if (path := _look(request.name, v)) is not None:
        return Call("GET", path, headers)
    method, path, body = _change(request.name, v)
    if v.get("etag") is not None:
        headers["If-Match"] = v["etag"]
    if body is None:
        return Call(method, f"{_XAPI}/{path}", headers)
    headers["Content-Type"] = "application/json"
    return Call(method, f"{_XAPI}/{path}", headers, json.dumps(body).encode("ascii"))

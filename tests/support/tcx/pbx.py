"""What a 3CX holds, and its answer to one request. Nothing here does I/O."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.support.tcx.odata import BadQuery, Filter, compiled

CLIENT, KEY = "frameroom", "CANARY-client-key"
SECRETS = ("AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN", "SIPID")
USER = (
    "Id", "Number", "FirstName", "LastName", "DisplayName", "EmailAddress", "OutboundCallerID", "Enabled",
    "IsRegistered", "Mobile", "VMEnabled", *SECRETS,
)  # fmt: skip
DESTINATIONS = ("OfficeHoursDestination", "OutOfOfficeHoursDestination", "HolidaysDestination")
RULE = ("Id", "RuleName", "Data", "Condition", "CallType", "CustomData", *DESTINATIONS)
NUMBER = ("Number", "TrunkId", "TemplateFileName")
OPTIONS = {
    "SipAuth": "AuthPassword", "WebclientPassword": "AccessPassword", "VoicemailPIN": "VMPIN",
    "DeskphonePassword": "DeskphonePassword", "ConfigurationLink": None, "RpsKey": None, "SendWelcomeEmail": None,
}  # fmt: skip
_CHANGED = {"FirstName", "LastName", "EmailAddress", "Mobile", "OutboundCallerID", "Enabled"}
_PATHS = {
    "Users": frozenset(USER), "DidNumbers": frozenset(NUMBER),
    "InboundRules": frozenset({*RULE, *(f"{name}/{part}" for name in DESTINATIONS for part in ("Number", "To"))}),
}  # fmt: skip
_TRUNK = 17


@dataclass
class Reply:
    """A status, a body, and headers besides those of every answer."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    writes: bool = False


class _No(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.reply = Reply(status, {"error": {"code": code, "message": message or "refused", "details": []}})


@dataclass
class Pbx:
    """One phone system."""

    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    rules: dict[int, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """The trunks' own numbers, with their trunk."""
    version: str = "20.0.10.1234"
    lists_numbers: bool = True
    """Older builds have no /DidNumbers."""
    filters_paths: bool = True
    """Whether a filter may look into where a rule leads."""
    counts: bool = True
    etags: bool = False
    """Whether an answer about one thing has an ETag, which deleting it may name."""
    lifetime: int = 3600
    """What `expires_in` says."""
    make: Callable[[str], str] = lambda kind: secrets.token_hex(8)
    mails: list[tuple[str, str]] = field(default_factory=list)
    """What it mailed itself: to whom, and what."""
    refusing: dict[str, Reply] = field(default_factory=dict)
    """By method and beginning of the path ("PATCH Users"): what is answered in place of doing it."""
    failing: dict[str, Reply] = field(default_factory=dict)
    """The same, after doing it."""
    token: str = ""
    tokens: int = 0

    def __post_init__(self) -> None:
        self._order: list[str] | None = None
        self._by_number: dict[str, int] = {}
        self._leads: dict[str, list[int]] | None = None
        self._targets: list[str] = []
        self._next = 900_000

    def add(self, user: int, number: str, first: str, last: str, email: str, numbers: Iterable[str] = ()) -> None:
        """A person, and an inbound rule for each number."""
        self.users[user] = {
            "Id": user, "Number": number, "FirstName": first, "LastName": last, "EmailAddress": email,
        }  # fmt: skip
        for one in numbers:
            self.rule(one, number)
        self.changed()

    def rule(self, data: str, extension: str, condition: str = "BasedOnDID") -> int:
        """An inbound rule that leads to an extension at all times."""
        self._next += 1
        there = {"To": "Extension", "Number": extension, "Name": "", "External": "", "Type": "Extension", "Tags": []}
        self.rules[self._next] = {
            "Id": self._next, "RuleName": f"Rule {self._next}", "Data": data, "Condition": condition,
            "CallType": "AllCalls", "CustomData": "", **{name: dict(there) for name in DESTINATIONS},
        }  # fmt: skip
        self.numbers.setdefault(data, _TRUNK)
        self.changed()
        return self._next

    def changed(self) -> None:
        """What was sorted is not any more."""
        self._order = self._leads = None

    def _sorted(self) -> list[str]:
        if self._order is None:
            self._by_number = {user["Number"]: user["Id"] for user in self.users.values()}
            self._order = sorted(self._by_number)
        return self._order

    def _leading(self) -> dict[str, list[int]]:
        if self._leads is None:
            self._leads = {}
            for rule in self.rules.values():
                number = (rule["OfficeHoursDestination"] or {}).get("Number")
                if number:
                    self._leads.setdefault(number, []).append(rule["Id"])
            self._targets = sorted(self._leads)
        return self._leads

    # --- one request ---

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Headers by their names in small letters."""
        try:
            path, _, query = target.partition("?")
            if path == "/connect/token":
                return self._signed_in(method, headers, body)
            if not path.startswith("/xapi/v1/"):
                raise _No(404)
            if not self.token or headers.get("authorization") != f"Bearer {self.token}":
                raise _No(401, "unauthorized")
            what = unquote(path.removeprefix("/xapi/v1/"))
            for beginning, reply in self.refusing.items():
                if f"{method} {what}".startswith(beginning):
                    return reply
            done = self._done(method, what, query, headers, body)
            for beginning, reply in self.failing.items():
                if f"{method} {what}".startswith(beginning):
                    return reply
            return done
        except _No as no:
            return no.reply
        except BadQuery as error:
            return _No(400, "BadRequest", str(error)).reply

    def _signed_in(self, method: str, headers: Mapping[str, str], body: bytes) -> Reply:
        form = dict(parse_qsl(body.decode()))
        if method != "POST" or headers.get("content-type") != "application/x-www-form-urlencoded":
            return Reply(400, {"error": "invalid_request"})
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, KEY):
            return Reply(401, {"error": "unauthorized", "error_description": "The request requires authentication."})
        if form.get("grant_type") != "client_credentials":
            return Reply(400, {"error": "unsupported_grant_type"})
        self.tokens += 1
        self.token = f"ey.CANARY-token-{self.tokens}.{secrets.token_urlsafe(24)}"
        told = {"token_type": "Bearer", "expires_in": self.lifetime, "access_token": self.token, "refresh_token": None}
        return Reply(200, told)

    def _done(self, method: str, what: str, query: str, headers: Mapping[str, str], body: bytes) -> Reply:
        options = _options(query)
        found = re.fullmatch(r"(Users|InboundRules|DidNumbers|SystemStatus)(?:\((\d+)\))?(?:/(.+))?", what)
        if found is None or (found[1] == "DidNumbers" and not self.lists_numbers):
            raise _No(404)
        name, key, more = found[1], int(found[2]) if found[2] else None, found[3]
        if more is not None:
            return self._called(method, name, key, more, body)
        if name == "SystemStatus" and method == "GET":
            return Reply(200, _selected({"Id": 0, "Version": self.version, "FQDN": "pbx.3cx.example",
                                         "LicenseKey": "CANARY-licence"}, options, None))  # fmt: skip
        if key is None:
            return self._collection(method, name, options, body)
        rows = {"Users": self.users, "InboundRules": self.rules}.get(name)
        if rows is None or key not in rows:
            raise _No(404)
        if method == "GET":
            tag = {"ETag": _tag(rows[key])} if self.etags else {}
            return Reply(200, _selected(self._shown(name, rows[key]), options, _PATHS[name]), tag)
        if method == "DELETE":
            if headers.get("if-match", "*") not in ("*", _tag(rows[key])):
                raise _No(412)
            del rows[key]
            self.changed()
            return Reply(204, writes=True)
        if method == "PATCH":
            return self._patched(name, rows[key], headers, body)
        raise _No(405)

    @staticmethod
    def _shown(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        if name != "Users":
            return dict(row)
        usual = {
            "DisplayName": f"{row['FirstName']} {row['LastName']}".strip(), "OutboundCallerID": "", "Enabled": True,
            "IsRegistered": False, "Mobile": "", "VMEnabled": True, **dict.fromkeys(SECRETS, ""),
        }  # fmt: skip
        return usual | row

    def _collection(self, method: str, name: str, options: dict[str, str], body: bytes) -> Reply:
        if method == "POST" and name == "InboundRules":
            return self._ruled(body)
        if method != "GET":
            raise _No(405)
        made = compiled(options["$filter"], _PATHS[name]) if "$filter" in options else None
        if made is not None and not self.filters_paths and any("/" in path for path in made.paths):
            raise BadQuery("a path is not taken")
        rows = self._rows(name, made)
        top, skip = (int(options.get(option, default)) for option, default in (("$top", "100"), ("$skip", "0")))
        page = [_selected(self._shown(name, row), options, _PATHS[name], inner=True) for row in rows[skip : skip + top]]
        told: dict[str, Any] = {"@odata.context": f"https://pbx.3cx.example/xapi/v1/$metadata#{name}", "value": page}
        if options.get("$count") == "true" and self.counts:
            told["@odata.count"] = len(rows)
        return Reply(200, told)

    def _rows(self, name: str, made: Filter | None) -> Any:
        if name == "DidNumbers":
            every = [{"Number": n, "TrunkId": t, "TemplateFileName": ""} for n, t in self.numbers.items()]
            return [row for row in every if made is None or made.takes(row)]
        if name == "Users":
            order = self._sorted()
            if made is None:
                return _Lazily(order, lambda number: self.users[self._by_number[number]])
            if made.equal is not None and made.equal[0] == "Number":
                order = [one for one in order if one in set(made.equal[1])]
            users = (self.users[self._by_number[number]] for number in order)
            return [user for user in users if made.takes(user)]
        return self._ruling(made)

    def _ruling(self, made: Filter | None) -> list[dict[str, Any]]:
        leads, path = self._leading(), "OfficeHoursDestination/Number"
        ids: Iterable[int] = self.rules
        if made is not None and made.equal is not None and made.equal[0] == path:
            ids = sorted(one for value in set(made.equal[1]) for one in leads.get(value, ()))
        elif made is not None and made.between is not None and made.between[0] == path:
            _, low, high = made.between
            within = self._targets[bisect_left(self._targets, low) : bisect_right(self._targets, high)]
            ids = sorted(one for value in within for one in leads[value])
        return [self.rules[one] for one in ids if made is None or made.takes(self.rules[one])]

    # --- changes ---

    def _patched(self, name: str, row: dict[str, Any], headers: Mapping[str, str], body: bytes) -> Reply:
        given = _object(headers, body)
        known = _CHANGED if name == "Users" else set(RULE) - {"Id"}
        if "Number" in given and given["Number"] != row.get("Number"):
            raise _No(400, "NumberCannotBeChanged")
        if not set(given) - {"Number", "Id"} <= known:
            raise _No(400, "UnknownProperty")
        if not all(value is None or isinstance(value, str | bool | dict) for value in given.values()):
            raise _No(400, "WrongType")
        row.update(given)
        self.changed()
        return Reply(204, writes=True)

    def _ruled(self, body: bytes) -> Reply:
        given = json.loads(body)
        if self.numbers.get(given.get("Data")) != (given.get("TrunkDN") or {}).get("Id"):
            raise _No(400, "NoSuchNumber")
        made = self.rule(given["Data"], given["OfficeHoursDestination"]["Number"], given["Condition"])
        self.rules[made]["RuleName"] = given["RuleName"]
        return Reply(201, self.rules[made], writes=True)

    def _called(self, method: str, name: str, key: int | None, what: str, body: bytes) -> Reply:
        user = self.users.get(key) if key is not None else None
        match method, name, what:
            case "POST", "Users", "Pbx.Regenerate" if user is not None:
                return self._regenerated(user, json.loads(body)["opts"])
            case "GET", "Users", "Pbx.GetPhoneSecret()" if user is not None:
                return Reply(200, {"value": user.get("AuthPassword", "")})
            case "GET", "Users", "Pbx.ExportExtensions()":
                return Reply(200, {"value": [self._shown("Users", one) for one in self.users.values()]})
        raise _No(404)

    def _regenerated(self, user: dict[str, Any], wanted: Mapping[str, Any]) -> Reply:
        if not set(wanted) <= set(OPTIONS) or not all(isinstance(one, bool) for one in wanted.values()):
            raise _No(400, "WrongType")
        told = []
        for option, kept in OPTIONS.items():
            if wanted.get(option) and kept is not None:
                user[kept] = self.make(kept)
                told.append(user[kept])
        if wanted.get("SendWelcomeEmail") and user.get("EmailAddress"):
            self.mails.append((user["EmailAddress"], " ".join(told)))
        return Reply(204, writes=True)


def _tag(row: Mapping[str, Any]) -> str:
    return f'W/"{hashlib.sha256(json.dumps(row).encode()).hexdigest()[:16]}"'


class _Lazily:
    """A list of rows that are made when they are looked at."""

    def __init__(self, keys: list[str], made: Callable[[str], dict[str, Any]]) -> None:
        self._keys, self._made = keys, made

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, part: slice) -> list[dict[str, Any]]:
        return [self._made(key) for key in self._keys[part]]


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    known = {"$top", "$skip", "$filter", "$count", "$orderby", "$select"}
    if not set(options) <= known or not all(options.get(one, "0").isdigit() for one in ("$top", "$skip")):
        raise BadQuery("an option is not taken")
    return options


def _selected(
    row: Mapping[str, Any], options: Mapping[str, str], known: frozenset[str] | None, *, inner: bool = False
) -> dict[str, Any]:
    """With everything, passwords too, where nothing was named."""
    told: dict[str, Any] = {} if inner else {"@odata.context": "https://pbx.3cx.example/xapi/v1/$metadata#x/$entity"}
    if "$select" not in options:
        return told | dict(row)
    names = options["$select"].split(",")
    if known is not None and not set(names) <= known:
        raise BadQuery("no such property")
    return told | {name: row.get(name) for name in names}


def _object(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    if headers.get("content-type") != "application/json":
        raise _No(415)
    given = json.loads(body)
    if not isinstance(given, dict):
        raise _No(400)
    return given

"""What a Yeastar P-Series holds, and what it answers: shapes and rules of the vendor's developer guide.

It tells passwords where the real one does (`extension/getpassword`, and, to be on the safe side, `extension/get` and
`extension/query`), gives eight tokens, and blocks whoever was refused five times.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CLIENT, SECRET = "UEnH9Dmv6uBJEXsYcag1trNfQThYk2Wz", "CANARY-ZLcXl63S9EtMnYoHUnjbVo6sA8Cb"
REFUSALS = 5
_SORTS = {"id", "number", "caller_id_name", "email_addr", "mobile_number", "presence_status"}
_WRITABLE = {
    "id", "first_name", "last_name", "email_addr", "mobile_number", "user_password", "reg_password", "caller_id",
    "organization_list", "title",
}  # fmt: skip

Answer = dict[str, Any]
OK: Answer = {"errcode": 0, "errmsg": "SUCCESS"}


def no(code: int, words: str, **more: Any) -> Answer:
    """A refusal; HTTP says 200 all the same."""
    return {"errcode": code, "errmsg": words, **more}


def bad(field_name: str, kind: str = "invalid") -> Answer:
    """A value that is not taken."""
    return no(40002, "PARAMETER ERROR", invalid_param_list=[{"field": field_name, "validation_type": kind}])


@dataclass
class Extension:
    """One of them, with everything that it holds."""

    id: int
    number: str
    first_name: str
    last_name: str = ""
    email_addr: str = ""
    reg_password: str = "CANARY-reg-1a2B"
    user_password: str = "CANARY-user-1a2B"
    vm_pin: str = "1000"
    online: tuple[str, ...] = ()

    @property
    def caller_id_name(self) -> str:
        """As it is shown."""
        return f"{self.first_name} {self.last_name}" if self.last_name else self.first_name

    def listed(self) -> Answer:
        """Ext_Basicinfo."""
        kinds = {"sip_phone": "sip", "linkus_desktop": "linkusdesktop", "linkus_mobile": "linkusmobile"}
        status = {k: {"status": int(k in self.online), "ext_dev_type": v, "status_list": []} for k, v in kinds.items()}
        status["sip_phone"]["status_list"] = [{"status": 1, "ip": "192.0.2.9"}] * self.online.count("sip_phone")
        return {
            "id": self.id, "online_status": status, "presence_status": "available", "custom_presence_status": "",
            "number": self.number, "caller_id_name": self.caller_id_name, "role_name": "",
            "email_addr": self.email_addr, "mobile_number": "07700900123",
        }  # fmt: skip

    def whole(self) -> Answer:
        """More than Ext_DetailInfo is documented to hold: whoever asks for it gets the passwords too."""
        told = {
            key: getattr(self, key) for key in ("first_name", "last_name", "reg_password", "user_password", "vm_pin")
        }
        return self.listed() | told | {"reg_name": f"R{self.number}"}


@dataclass
class Pbx:
    """One phone system. `now`: its clock in seconds."""

    extensions: dict[int, Extension] = field(default_factory=dict)
    routes: dict[int, Answer] = field(default_factory=dict)
    organisations: bool = False
    now: Callable[[], float] = lambda: 0.0
    life_s: int = 1800
    page_cap: int = 10_000
    most_tokens: int = 8
    heard: list[str] = field(default_factory=list)
    goodbyes: int = 0
    sign_ins: int = 0
    refused: int = 0
    tokens: dict[str, float] = field(default_factory=dict)
    refreshes: dict[str, str] = field(default_factory=dict)

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Answer) -> Answer:
        """One request to `/openapi/v1.0/{path}`."""
        query = dict(query)
        token = query.pop("access_token", "")
        self._hear(method, path, query, body)
        match method, path:
            case "POST", "get_token":
                return self._sign_in(body)
            case "POST", "refresh_token":
                return self._refresh(body)
        if token not in self.tokens:
            return no(10003, "TOKEN ERROR")
        if self.tokens[token] <= self.now():
            return no(10004, "TOKEN EXPIRED")
        match method, path:
            case "GET", "del_token":
                del self.tokens[token]
                self.goodbyes += 1
                return OK
            case "GET", "system/information":
                return OK | {
                    "data": {
                        "device_name": "PBX",
                        "model_name": "P560",
                        "sn": "3631A2",
                        "firmware_version": "37.20.0.30",
                    }
                }
            case "GET", "extension/list" | "extension/search":
                return self._listed(query)
            case "GET", "extension/get" | "extension/query" | "extension/getpassword" as which:
                return self._told(which, query)
            case "POST", "extension/update":
                return self._update(body)
            case "GET", "extension/delete":
                gone = self.extensions.pop(int(query["id"]), None)
                return OK if gone else bad("id")
            case "GET", "inbound_route/list":
                return self._page(
                    [{"id": r["id"], "pos": r["id"], "name": r["name"]} for r in self.routes.values()], query
                )
            case "GET", "inbound_route/query":
                return OK | {"data": [self.routes[int(one)] for one in query["ids"].split(",")]}
        return no(10001, "INTERFACE NOT EXISTED", invalid_param_list=[{"value": f"No route for {method} /{path}"}])

    def _hear(self, method: str, path: str, query: Mapping[str, str], body: Answer) -> None:
        """By the template's name, if it is one; a goodbye is counted apart."""
        paged = {"page", "page_size", "sort_by", "order_by"}
        known = {
            ("POST", "get_token", frozenset(), frozenset({"username", "password"})): "sign-in",
            ("POST", "refresh_token", frozenset(), frozenset({"refresh_token"})): "refresh",
            ("GET", "system/information", frozenset(), frozenset()): "system",
            ("GET", "extension/list", frozenset(paged), frozenset()): "people",
            ("GET", "extension/search", frozenset(paged | {"search_value"}), frozenset()): "search",
            ("GET", "inbound_route/list", frozenset(paged), frozenset()): "routes",
            ("GET", "inbound_route/query", frozenset({"ids"}), frozenset()): "route-numbers",
            ("GET", "extension/delete", frozenset({"id"}), frozenset()): "remove",
            ("POST", "extension/update", frozenset(), frozenset({"id", "reg_password"})): "set-sip",
            ("POST", "extension/update", frozenset(), frozenset({"id", "user_password"})): "set-portal",
        }
        if (method, path, query, body) == ("GET", "del_token", {}, {}):
            return
        name = known.get((method, path, frozenset(query), frozenset(body)))
        if path == "extension/update" and method == "POST" and not query and name is None:
            inner = set(body) - {"id"}
            if "id" in body and inner and inner <= {"first_name", "last_name", "email_addr"}:
                name = "change"
        self.heard.append(name or repr((method, path, dict(query), body)))

    # --- tokens ---

    def _sign_in(self, body: Answer) -> Answer:
        self.sign_ins += 1
        if self.refused >= REFUSALS:
            return no(70087, "IP FORBIDDEN")
        if (body.get("username"), body.get("password")) != (CLIENT, SECRET):
            self.refused += 1
            return no(-1, "FAILURE", invalid_param_list=[{"field": "username or password", "value": "error"}])
        self.tokens = {token: until for token, until in self.tokens.items() if until > self.now()}
        if len(self.tokens) >= self.most_tokens:
            return no(60002, "MAX LIMITATION EXCEEDED")
        return self._given()

    def _given(self) -> Answer:
        token, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.tokens[token] = self.now() + self.life_s
        self.refreshes[refresh] = token
        return OK | {
            "access_token_expire_time": self.life_s, "access_token": token, "refresh_token_expire_time": 86_400,
            "refresh_token": refresh,
        }  # fmt: skip

    def _refresh(self, body: Answer) -> Answer:
        old = self.refreshes.pop(body.get("refresh_token", ""), None)
        if old is None:
            return no(10006, "REFRESH TOKEN ERROR")
        self.tokens.pop(old, None)
        return self._given()

    # --- extensions ---

    def _page(self, rows: list[Any], query: Mapping[str, str], shown: Callable[[Any], Answer] = dict) -> Answer:
        page, size = int(query.get("page", "1")), min(int(query.get("page_size", "20")), self.page_cap)
        return OK | {"total_number": len(rows), "data": [shown(row) for row in rows[(page - 1) * size : page * size]]}

    def _listed(self, query: Mapping[str, str]) -> Answer:
        by = query.get("sort_by", "id")
        if by not in _SORTS:
            return bad("sort_by")
        keyword = query.get("search_value", "").casefold()
        found = [
            e for e in self.extensions.values() if keyword in f"{e.number} {e.caller_id_name} {e.email_addr}".casefold()
        ]
        found.sort(key=lambda e: getattr(e, by), reverse=query.get("order_by") == "desc")
        return self._page(found, query, Extension.listed)

    def _told(self, which: str, query: Mapping[str, str]) -> Answer:
        ids = [int(one) for one in query.get("ids", query.get("id", "0")).split(",")]
        if not all(one in self.extensions for one in ids):
            return bad("id")
        if which == "extension/getpassword":
            value = getattr(self.extensions[ids[0]], query["type"])
            return OK | {"password": base64.b64encode(value.encode()).decode()}
        return OK | {"data": [self.extensions[one].whole() for one in ids]}

    def _update(self, body: Answer) -> Answer:
        one = self.extensions.get(body.get("id", 0))
        if one is None:
            return bad("id")
        if not set(body) <= _WRITABLE:
            return bad("unknown")
        if self.organisations and "organization_list" not in body:
            return bad("organization_list", "required")
        if refused := self._refused(one, body):
            return refused
        for key in set(body) - {"id", "organization_list", "title", "caller_id", "mobile_number"}:
            setattr(one, key, body[key])
        return dict(OK)

    def _refused(self, one: Extension, body: Answer) -> Answer | None:
        if any(len(body.get(key, "")) > 63 for key in ("first_name", "last_name")):
            return bad("first_name")
        email = body.get("email_addr", "")
        if email and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.'-]*@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+", email):
            return bad("email_addr")
        if email and any(e.email_addr.lower() == email.lower() for e in self.extensions.values() if e is not one):
            return no(40003, "DUPLICATE FIELD", duplicate_field_list=[{"field": "email_addr"}])
        if "reg_password" in body and not 8 <= len(body["reg_password"]) <= 63:
            return bad("reg_password")
        new = body.get("user_password")
        if new is not None:
            classes = all(re.search(group, new) for group in ("[0-9]", "[a-z]", "[A-Z]"))
            if not classes or not 10 <= len(new) <= 63 or one.number in new or re.search(r"(\d)\1{3}", new):
                return bad("user_password")
        return None

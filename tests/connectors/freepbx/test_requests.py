"""What can be written to the helper at all, whatever the connector is given."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from graphql import GraphQLObjectType, OperationType, Visitor, build_schema, parse, validate, visit
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import ConnectorError
from connectors.freepbx.requests import GUARD, TOKEN, call, line
from connectors.guard import fingerprint
from connectors.transport.web import Call
from tests.support.freepbx.api import MUTATIONS, SCHEMA

_ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=30), st.binary(max_size=4),
    st.lists(st.text(), max_size=2),
    st.sampled_from(["20001", "Zoë", "a@b.example", "+442079460001", "sip", "Abcdefgh2345", "x'; DROP TABLE sip; --",
                     "20001 OR 1=1", "a\nb", "a,b", "a|b", "a;b", 'a"b', "a\\b", "<20001>", "$(id)", "\x00",
                     "core show version", "fwconsole reload", "fwconsole restart", "pjsip show auth 20001"]),
)  # fmt: skip
_PRINT = st.builds(fingerprint, st.text(max_size=5))
_VALUE = st.one_of(_ANYTHING, st.tuples(_PRINT, _ANYTHING), st.tuples(_ANYTHING, _ANYTHING))
_KEYS = {
    "hello": {"do"}, "check": {"do"}, "page": {"do", "cursor", "limit"}, "find": {"do", "words", "limit"},
    "view": {"do", "id"}, "devices": {"do", "id"}, "plan": {"do", "id"}, "rules": {"do", "id", "kind"},
    "alter": {"do", "id", "changes"}, "remove": {"do", "id", "expected"}, "reset": {"do", "id", "kind", "secret"},
    "look": {"do", "line"}, "act": {"do", "line"},
}  # fmt: skip
_FIELDS = sorted({"line", "id", "name", "email", "ddi", "kind", "secret", "cursor", "limit", "words", "extension"})


def _sound(asked: dict[str, Any]) -> None:
    if asked["do"] in ("look", "act"):
        assert asked["line"] in ("core show version", "fwconsole reload"), "of what is drawn, the catalogue's alone"
        return
    assert set(asked) == _KEYS[asked["do"]]
    key = asked.get("id", asked.get("cursor"))
    assert key is None or re.fullmatch("[0-9]{1,20}", key)
    assert asked.get("kind", "sip") in ("voicemail", "sip", "portal")
    changes = asked.get("changes", {})
    assert set(changes) <= {"name", "email", "ddis"}
    for was, becomes in changes.values():
        assert re.fullmatch("[0-9a-f]{64}", was)
        for text in becomes if isinstance(becomes, list) else [becomes or ""]:
            assert len(text) <= 254
            assert not set(text) & set('"\\<>;,|\r\n\0')


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_value_gets_past_its_check(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted([*_KEYS, "dump", "sql", "answer"])))
    fields = sorted(GUARD._templates[name].fields) if name in _KEYS else []
    values = {field: data.draw(_VALUE) for field in fields}
    if data.draw(st.integers(0, 9)) == 0:
        values[data.draw(st.sampled_from(_FIELDS))] = data.draw(_VALUE)
    try:
        request = GUARD.render(name, **values)
    except ConnectorError as error:
        assert error.next_step
        return
    asked = line(request)
    _sound(asked)
    assert "\n" not in json.dumps(asked)


def test_a_removal_and_a_change_carry_fingerprints_and_not_what_a_phone_system_said() -> None:
    hostile = 'Eve"; DROP TABLE users; \x1b]0;owned\x07'
    asked = [
        line(GUARD.render("remove", id="20001", extension=fingerprint("20001"), name=fingerprint(hostile))),
        line(GUARD.render("alter", id="20001", name=(fingerprint(hostile), "Eve"), email=None, ddi=None)),
    ]
    assert "DROP" not in json.dumps(asked)
    assert GUARD.writes("remove")
    assert GUARD.writes("alter")
    assert GUARD.writes("reset")
    assert not any(GUARD.writes(name) for name in GUARD.names() - {"remove", "alter", "reset", "act"})


# --- FreePBX's own API

_SECRETS = {"password", "extPassword", "secret", "umPassword", "vmPassword", "vmPwd"}
_API = {"api-token": {"client", "secret"}, "api-wider": {"client", "secret"}, "api-people": {"skip", "first"},
        "api-person": {"id"}}  # fmt: skip
_VALUES = _ANYTHING | st.sampled_from([
    0, 1, 500, "c0ffee0123456789", '1") { extPassword } }', "mutation", "20001) { user { extPassword } }",
    "x&scope=gql", "a secret that is one", "Abcdefgh23456789",
])  # fmt: skip


def _fields(query: str) -> set[str]:
    """Every field that a query names; it has to be one look that the module's schema takes."""
    document, schema = parse(query), build_schema(SCHEMA + MUTATIONS)
    assert validate(schema, document) == []
    (definition,) = document.definitions
    assert definition.operation is OperationType.QUERY
    named: set[str] = set()

    class Names(Visitor):
        def enter_field(self, node: Any, *_: Any) -> None:
            named.add(node.name.value)

    visit(document, Names())
    return named


def _asked(sent: Call) -> None:
    """The bytes themselves, whoever made them."""
    assert sent.method == "POST"
    assert sent.body is not None
    if sent.path == "/admin/api/api/token":
        form = parse_qsl(sent.body.decode(), keep_blank_values=True)
        assert [key for key, _ in form] == ["grant_type", "client_id", "client_secret", "scope"]
        assert dict(form)["scope"] in ("gql:core:read", "gql")
        assert "Authorization" not in sent.headers
        return
    assert sent.path == "/admin/api/api/gql"
    body = json.loads(sent.body)
    assert set(body) == {"query", "variables"}
    assert not _fields(body["query"]) & _SECRETS
    assert body["query"] in {json.loads(_sent(name).body or b"")["query"] for name in ("api-people", "api-person")}
    for value in body["variables"].values():
        assert value is None or type(value) is int or re.fullmatch("[0-9]{1,20}|[A-Za-z0-9+/=]{20,40}", value)


def _sent(name: str) -> Call:
    usual: dict[str, Any] = {"api-people": {"skip": 50, "first": 50}, "api-person": {"id": "20001"}}
    return call(GUARD.render(name, **usual[name]), "a.b.c")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_the_api_is_asked_two_looks_and_for_a_token_whatever_the_values(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*_API, "api-mutation", "api-query", "mutation"]))
    values = {field: data.draw(_VALUES) for field in _API.get(name, {"query"})}
    token = data.draw(st.sampled_from(["a.b.c", "", "a.b.c\r\nX: y", "a b", "x" * 20000]) | st.text(max_size=20))
    try:
        sent = call(GUARD.render(name, **values), token)
    except ConnectorError as error:
        assert error.next_step
        return
    assert TOKEN.fullmatch(token) or name in ("api-token", "api-wider")
    _asked(sent)


def test_what_is_asked_is_what_their_own_unit_test_asks_but_for_the_outbound_number() -> None:
    """FreePBX/core utests/API/CoreExtensionGQLTest.php: `fetchExtension(…) { extensionId,user{name,outboundCid}}`."""
    assert _fields(json.loads(_sent("api-person").body or b"")["query"]) == {
        "fetchExtension", "extensionId", "user", "name",
    }  # fmt: skip
    assert _fields(json.loads(_sent("api-people").body or b"")["query"]) == {
        "allCoreUsers", "pageInfo", "hasNextPage", "coreUser", "extension", "name",
    }  # fmt: skip


def test_the_first_page_is_asked_for_without_a_place_and_the_next_after_the_last() -> None:
    def after(skip: int) -> Any:
        body = call(GUARD.render("api-people", skip=skip, first=50), "a.b.c").body or b""
        return json.loads(body)["variables"]

    assert after(0) == {"first": 50, "after": None}
    # base64 of "arrayconnection:49": the place of the fiftieth, after which it goes on.
    assert after(50) == {"first": 50, "after": "YXJyYXljb25uZWN0aW9uOjQ5"}
    assert after(1)["after"] == "YXJyYXljb25uZWN0aW9uOjA="


def test_the_secrets_that_could_be_asked_for_are_in_the_schema_so_that_this_means_something() -> None:
    user = build_schema(SCHEMA).type_map["Coreuser"]
    assert isinstance(user, GraphQLObjectType)
    assert {"password", "extPassword"} <= set(user.fields)

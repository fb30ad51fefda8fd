"""Judged by the vendor's own OpenAPI file: every request that the guard lets through, and every answer of the stand-in.

`FRAMEROOM_3CX_OPENAPI=swagger.yaml make test-vendor`; without it an extract in our own words judges.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.guard import Allowed
from connectors.tcx.requests import GUARD, KINDS, render
from tests.connectors.tcx.bench import TcxBench
from tests.connectors.tcx.schema import Schema, extract
from tests.support.tcx.pbx import CLIENT, KEY, Pbx

FILE = os.environ.get("FRAMEROOM_3CX_OPENAPI", "")
EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    *((name, dict(values)) for name, values in TcxBench.examples.items()),
    *(("regenerate", {"id": 7, "kind": kind}) for kind in KINDS),
    ("set-email", {"id": 7, "email": ""}), ("set-name", {"id": 7, "first": "X", "last": ""}),
    ("remove-user", {"id": 7, "etag": None}),
    ("search", {"words": (("'or'1'eq'1", ()), ("a", ("20001", "20002"))), "top": 1}),
]  # fmt: skip


@pytest.fixture(scope="module", params=["extract", "vendor"])
def schema(request: pytest.FixtureRequest) -> Schema:
    """Ours, and the vendor's where it is named."""
    if request.param == "extract":
        return Schema(extract())
    if not FILE:
        pytest.skip("FRAMEROOM_3CX_OPENAPI names no file: 3CX's own OpenAPI file did not judge")
    return Schema(yaml.load(Path(FILE).read_text(encoding="utf-8"), yaml.CSafeLoader))


def pbx() -> Pbx:
    """With a person and their number."""
    made = Pbx()
    made.add(7, "20001", "Zoë", "de Vries", "zoe@customer.example", ())
    made.rules[9] = made.rules.pop(made.rule("442079460123", "20001")) | {"Id": 9}
    made.changed()
    return made


def asked(request: Allowed, token: str) -> tuple[str, str, dict[str, str], bytes]:
    call = render(request, token)
    return call.method, call.path, {name.lower(): value for name, value in call.headers.items()}, call.body or b""


def signed_in(made: Pbx) -> str:
    assert made.answer(*asked(GUARD.render("token", client=CLIENT, secret=KEY), "")).status == 200
    return made.token


@pytest.mark.parametrize(("name", "values"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_vendor_knows_the_request_and_the_answer(schema: Schema, name: str, values: dict[str, Any]) -> None:
    if name == "token":
        pytest.skip("the token is RFC 6749's, beside the interface that the file describes")
    made = pbx()
    method, target, headers, body = asked(GUARD.render(name, **values), signed_in(made))
    given = {"If-Match": headers["if-match"]} if "if-match" in headers else {}
    schema.judge_request(method, target, given, json.loads(body) if body else None)
    if given:
        headers["if-match"] = "*"
    reply = made.answer(method, target, headers, body)
    assert reply.status in (200, 201, 204), reply
    schema.judge_answer(method, target, reply.status, reply.body)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("GET", "/xapi/v1/Users", b""), ("GET", "/xapi/v1/Users(7)", b""), ("GET", "/xapi/v1/InboundRules", b""),
     ("GET", "/xapi/v1/DidNumbers?$top=5", b""), ("GET", "/xapi/v1/Users(8)?$select=Id", b""),
     ("PATCH", "/xapi/v1/Users(7)", b'{"Number": "9"}'), ("GET", "/xapi/v1/Users?$filter=Nobody%20eq%20'x'", b"")],
)  # fmt: skip
def test_what_the_stand_in_tells_those_who_ask_otherwise_is_the_vendors_too(
    schema: Schema, method: str, target: str, body: bytes
) -> None:
    made = pbx()
    token = signed_in(made)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    reply = made.answer(method, target, headers, body)
    if reply.body is not None and not (reply.status >= 400 and not reply.body["error"]["code"]):
        schema.judge_answer(method, target, reply.status, reply.body)


def test_the_judge_finds_what_is_wrong(schema: Schema) -> None:
    """A check that cannot fail proves nothing."""
    for method, target, body in (
        ("GET", "/xapi/v1/Userz", None), ("GET", "/xapi/v1/Users?$top=x", None),
        ("GET", "/xapi/v1/Users?$page=1", None),
        ("GET", "/xapi/v1/Users?$select=Id,Secret", None), ("PATCH", "/xapi/v1/Users(7)", {"FirstName": 7}),
        ("PATCH", "/xapi/v1/Users(7)", {"Password": "x"}), ("DELETE", "/xapi/v1/Users", None),
        ("POST", "/xapi/v1/Users(7)/Pbx.ResetPassword", {}), ("PATCH", "/xapi/v1/Users(7)", None),
        ("POST", "/xapi/v1/Users(7)/Pbx.Regenerate", {"opts": {"VoicemailPIN": "yes"}}),
        ("GET", "/xapi/v1/InboundRules?$filter=OfficeHoursDestination/Nobody%20eq%20'1'", None),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            schema.judge_request(method, target, {}, body)
    for status, answer in ((200, {"value": [{"Id": "7"}]}), (200, {"value": [{"Nobody": 7}]}), (204, None)):
        with pytest.raises(AssertionError):
            schema.judge_answer("GET", "/xapi/v1/Users", status, answer)


def test_the_extract_says_nothing_that_the_vendor_does_not(schema: Schema) -> None:
    """Every path, option and property that the extract names is in the file, too."""
    ours = extract()
    for path, operations in ours["paths"].items():
        for method, operation in operations.items():
            theirs = schema.operation(method, path.replace("{Id}", "7"))
            names = {schema._follow(p)["name"] for p in (*theirs.get("parameters", ()), *theirs["shared"])}
            assert {p["name"] for p in operation["parameters"]} <= names, (method, path)

"""The vendor's OpenAPI file as a judge of requests and answers: which paths, options and properties there are.

`extract` holds in our own words what the connector relies on, and runs always; FRAMEROOM_3CX_OPENAPI names the vendor's
file (3cx/xapi-tutorial, swagger.yaml), which is not ours to ship.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict,
}  # fmt: skip
_WORDS = {"eq", "ge", "le", "or", "and", "contains", "tolower"}


class Schema:
    """An OpenAPI 3.0 document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def _follow(self, node: Any) -> Any:
        while isinstance(node, Mapping) and "$ref" in node:
            found: Any = self._document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def operation(self, method: str, path: str) -> Mapping[str, Any]:
        """The one of a request's path, keys and all. AssertionError when there is none."""
        for template, item in self._document["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", r"-?\\d+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in item:
                found: Mapping[str, Any] = item[method.lower()] | {"shared": item.get("parameters", [])}
                return found
        raise AssertionError(f"the vendor knows no {method} {path}")

    def properties(self, schema: Any) -> dict[str, Any]:
        """By name, those that it is made of among them."""
        schema = self._follow(schema)
        found: dict[str, Any] = {}
        for part in schema.get("allOf", ()):
            found |= self.properties(part)
        return found | dict(schema.get("properties", {}))

    def judge(self, value: Any, schema: Any, where: str) -> None:
        """AssertionError for a value that is none of this schema: also for a property that it does not have."""
        schema = self._follow(schema)
        if value is None:
            nullable = schema.get("nullable") or any(self._follow(p).get("nullable") for p in schema.get("allOf", ()))
            assert nullable, f"{where} is null"
            return
        known = self.properties(schema)
        if isinstance(value, Mapping):
            assert known or schema.get("type") == "object", f"{where} is an object"
            for name, inner in value.items():
                if not name.startswith("@odata.context"):
                    assert name in known, f"{where} has no {name}"
                    self.judge(inner, known[name], f"{where}.{name}")
            return
        for part in (schema, *map(self._follow, schema.get("allOf", ()))):
            if "type" in part:
                assert isinstance(value, _TYPES[part["type"]]), f"{where} is no {part['type']}"
                assert not isinstance(value, bool) or part["type"] == "boolean", f"{where} is a boolean"
            assert value in part.get("enum", (value,)), f"{where} is none of its values"
            if isinstance(value, int) and not isinstance(value, bool):
                assert part.get("minimum", value) <= value <= part.get("maximum", value), f"{where} is out of range"
            if isinstance(value, list):
                for number, item in enumerate(value):
                    self.judge(item, part.get("items", {}), f"{where}[{number}]")

    def _answer(self, operation: Mapping[str, Any], status: int) -> Any:
        response = self._follow(operation["responses"].get(str(status), operation["responses"].get("default")))
        content = response.get("content", {})
        return content["application/json"]["schema"] if content else None

    def judge_request(self, method: str, target: str, headers: Mapping[str, str], body: Any) -> None:
        """Path, options, headers and body of one request."""
        path, _, query = target.removeprefix("/xapi/v1").partition("?")
        operation = self.operation(method, unquote(path))
        parameters = {p["name"]: p for p in map(self._follow, (*operation.get("parameters", ()), *operation["shared"]))}
        for name, value in parse_qsl(query, strict_parsing=bool(query)):
            assert name in parameters, f"the vendor's {path} takes no {name}"
            kind = parameters[name]["schema"]["type"]
            assert kind != "integer" or value.isdigit()
            assert kind != "boolean" or value in ("true", "false")
            if name in ("$select", "$orderby", "$filter"):
                self._judge_names(operation, name, value)
        if "If-Match" in headers:
            assert "If-Match" in parameters
        given = self._follow(operation.get("requestBody"))
        assert (body is not None) == (given is not None), f"{method} {path}: a body, or none"
        if given is not None:
            self.judge(body, given["content"]["application/json"]["schema"], "body")

    def _judge_names(self, operation: Mapping[str, Any], option: str, value: str) -> None:
        answer = self.properties(self._answer(operation, 200))
        row = answer["value"]["items"] if "value" in answer else self._answer(operation, 200)
        known = self.properties(row)
        names = value.split(",") if option != "$filter" else _names(value)
        for name in names:
            head, _, tail = name.partition("/")
            assert head in known, f"the vendor has no {name}"
            assert not tail or tail in self.properties(known[head]), f"the vendor has no {name}"

    def judge_answer(self, method: str, target: str, status: int, body: Any) -> None:
        """Status and body of one answer."""
        operation = self.operation(method, unquote(target.removeprefix("/xapi/v1").partition("?")[0]))
        expected = self._answer(operation, status)
        if status < 400:
            assert str(status) in operation["responses"], f"{method} is not answered with {status}"
        assert (body is not None) == (expected is not None), f"{method} {target}: a body, or none"
        if expected is not None:
            self.judge(body, expected, "answer")


def _names(text: str) -> Iterator[str]:
    for word in re.findall(r"[A-Za-z][A-Za-z/]*", re.sub(r"'(?:[^']|'')*'", "", text)):
        if word not in _WORDS:
            yield word


def _text(**more: Any) -> dict[str, Any]:
    return {"type": "string", "nullable": True} | more


def _entity(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(of: str) -> dict[str, Any]:
    count = {"type": "integer", "nullable": True}
    return _json(_entity(**{"@odata.count": count, "value": {"type": "array", "items": _ref(of)}}))


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _operation(responses: Mapping[str, Any], *options: str, body: Any = None) -> dict[str, Any]:
    kinds = {"$top": "integer", "$skip": "integer", "$count": "boolean"}
    parameters = [{"name": name, "schema": {"type": kinds.get(name, "string")}} for name in options]
    made: dict[str, Any] = {
        "parameters": parameters, "responses": {**responses, "default": _json(_entity(error=_ref("error")))},
    }  # fmt: skip
    return made | ({"requestBody": _json(body)} if body is not None else {})


def extract() -> dict[str, Any]:
    """What the connector relies on, in our own words."""
    number = {"type": "integer", "minimum": -2_147_483_648, "maximum": 2_147_483_647}
    flag = {"type": "boolean", "nullable": True}
    where = _entity(
        Number=_text(), Name=_text(), External=_text(), To=_text(enum=["None", "VoiceMail", "Extension", "External"]),
        Type=_text(), Tags={"type": "array", "items": {"type": "string"}},
    ) | {"nullable": True}  # fmt: skip
    user = dict.fromkeys(
        ("FirstName", "LastName", "DisplayName", "EmailAddress", "OutboundCallerID", "Mobile", "AuthID", "SIPID",
         "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"), _text(),
    )  # fmt: skip
    rule = {
        "Id": number, "RuleName": _text(), "Data": _text(), "CustomData": _text(), "CallType": _text(),
        "Condition": _text(enum=["BasedOnDID", "BasedOnCallerID", "ForwardAll"]),
        "TrunkDN": _entity(Id=number) | {"nullable": True}, "OfficeHoursDestination": where,
        "OutOfOfficeHoursDestination": where, "HolidaysDestination": where,
    }  # fmt: skip
    kinds = (
        "SipAuth", "WebclientPassword", "VoicemailPIN", "DeskphonePassword", "ConfigurationLink", "RpsKey",
        "SendWelcomeEmail",
    )  # fmt: skip
    options = {kind: {"type": "boolean"} for kind in kinds}
    paged, done = ("$top", "$skip", "$filter", "$count", "$orderby", "$select"), {"204": {}}
    return {
        "paths": {
            "/Users": {"get": _operation({"200": _list("user")}, *paged)},
            "/Users({Id})": {
                "get": _operation({"200": _json(_ref("user"))}, "$select"),
                "patch": _operation(done, body=_ref("user")), "delete": _operation(done, "If-Match"),
            },
            "/Users({Id})/Pbx.Regenerate": {"post": _operation(done, body=_entity(opts=_entity(**options)))},
            "/DidNumbers": {"get": _operation({"200": _list("number")}, *paged)},
            "/InboundRules": {
                "get": _operation({"200": _list("rule")}, *paged),
                "post": _operation({"201": _json(_ref("rule"))}, body=_ref("rule")),
            },
            "/InboundRules({Id})": {
                "patch": _operation(done, body=_ref("rule")), "delete": _operation(done, "If-Match"),
            },
            "/SystemStatus": {"get": _operation({"200": _json(_entity(Version=_text()))}, "$select")},
        },
        "components": {
            "schemas": {
                "user": _entity(
                    Id=number, Number=_text(), Enabled=flag, IsRegistered=flag, VMEnabled=flag, **user
                ),
                "rule": _entity(**rule),
                "number": _entity(Number={"type": "string"}, TrunkId=number, TemplateFileName=_text()),
                "error": _entity(
                    code={"type": "string"}, message={"type": "string"},
                    details={"type": "array", "items": {"type": "object"}},
                ),
            }
        },
    }  # fmt: skip

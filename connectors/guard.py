"""The request allow-list below every connector: what is not a template here cannot be sent.

A transport takes only an `Allowed` that its own guard made. Values are checked field by field before they become
part of a request; control characters are refused in every one of them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NoReturn

from connectors.errors import InvalidValue, RequestNotAllowed

Check = Callable[[str, object], None]
# C0, DEL, C1, line and paragraph separators, half surrogates; and the characters that turn the writing direction of
# what follows, with which a name can be made to look like another (the plain marks that right-to-left names need stay).
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


_FIXED: Final = frozenset({str, int, bool, type(None)})
"""Of exactly these types a value is never another one later. What is made of them may be: a list, or a class of its own
that calls itself a string."""


def text(limit: int, *, pattern: str | None = None, form: str = "") -> Check:
    """A string of at most `limit` characters, without control characters, matching `pattern` whole; `form`: that
    pattern in words."""
    compiled = re.compile(pattern) if pattern else None

    def check(name: str, value: object) -> None:
        if not isinstance(value, str):
            raise InvalidValue(f"{name} must be text")
        if len(value) > limit:
            raise InvalidValue(f"{name} is longer than {limit} characters")
        if _CONTROL.search(value):
            raise InvalidValue(f"{name} holds a control character")
        if compiled is not None and not compiled.fullmatch(value):
            if form:
                raise InvalidValue(f"{name} is not of the form: {form}")
            raise InvalidValue(f"{name} is not of the form that the phone system takes")

    return check


def number(low: int, high: int) -> Check:
    """A whole number between two bounds."""

    def check(name: str, value: object) -> None:
        if type(value) is not int or not low <= value <= high:
            raise InvalidValue(f"{name} must be a whole number from {low} to {high}")

    return check


def optional(inner: Check) -> Check:
    """None, or what `inner` takes."""

    def check(name: str, value: object) -> None:
        if value is not None:
            inner(name, value)

    return check


def listed(inner: Check, most: int) -> Check:
    """A list of at most `most` values that `inner` takes."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, list) or len(value) > most:
            raise InvalidValue(f"{name} must be a list of at most {most}")
        for item in value:
            inner(name, item)

    return check


def some(fields: Mapping[str, Check]) -> Check:
    """A dictionary with one of these fields or more, and no other: what a change may touch."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, dict) or not value or not value.keys() <= fields.keys():
            raise InvalidValue(f"{name} must be one or more of: {', '.join(fields)}")
        for key, inner in value.items():
            fields[key](key, inner)

    return check


def fingerprint(value: str | tuple[str, ...] | None) -> str:
    """What `digest` takes: stands for a value that a phone system holds, so that hostile text is never sent back."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()


def digest(name: str, value: object) -> None:
    """A `fingerprint`."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise InvalidValue(f"{name} must be a fingerprint")


def secret_like(pattern: str) -> Check:
    """A secret of one form, whole. The message never tells the value, nor how long it is."""
    compiled = re.compile(pattern)

    def check(name: str, value: object) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise InvalidValue(f"{name} cannot be sent as it is")

    return check


secret: Final = secret_like(r"[!-~]{4,128}")
"""A generated secret: printable ASCII."""


@dataclass(frozen=True, slots=True)
class Template:
    """One request that may be sent. The answer of one that `writes` is dropped but for its outcome."""

    name: str
    writes: bool
    fields: Mapping[str, Check] = field(default_factory=dict)


class Allowed:
    """A request that a guard let through. Only `Guard.render` makes one, and nobody changes it afterwards."""

    __slots__ = ("guard", "name", "values", "writes")

    def __init__(self, guard: Guard, template: Template, values: Mapping[str, Any], token: object) -> None:
        if token is not guard.token:
            raise RequestNotAllowed("a request was made without its guard")
        put = object.__setattr__
        put(self, "guard", guard)
        put(self, "name", template.name)
        put(self, "writes", template.writes)
        put(self, "values", MappingProxyType(dict(values)))

    guard: Guard
    name: str
    writes: bool
    values: Mapping[str, Any]

    def __setattr__(self, key: str, value: object) -> NoReturn:
        raise RequestNotAllowed("a request is not changed once its guard let it through")

    def __reduce__(self) -> NoReturn:
        raise RequestNotAllowed("a request is neither copied nor stored")

    def __repr__(self) -> str:
        return f"Allowed({self.name})"


def _own(value: object) -> object:
    """A copy that nobody else holds, or the value itself where nothing can change it."""
    kind = type(value)
    if kind in _FIXED or (kind is tuple and all(type(item) in _FIXED for item in value)):  # type: ignore[attr-defined]
        return value
    return copy.deepcopy(value)


class Guard:
    """A connector's allow-list."""

    def __init__(self, *templates: Template) -> None:
        self._templates = MappingProxyType({template.name: template for template in templates})
        if len(self._templates) != len(templates):
            raise ValueError("two templates bear the same name")
        self.token = object()

    def render(self, name: str, /, **values: object) -> Allowed:
        """Check and make a request. RequestNotAllowed when it is not on the list; InvalidValue when a value is not."""
        template = self._templates.get(name)
        if template is None:
            raise RequestNotAllowed(f"{name} is not a request that this connector may make")
        if values.keys() != template.fields.keys():
            raise RequestNotAllowed(f"{name} has other fields than its template")
        # Copied before they are checked: what the connector still holds of them may change, what is sent may not.
        own = {key: _own(value) for key, value in values.items()}
        for key, check in template.fields.items():
            check(key, own[key])
        return Allowed(self, template, own, self.token)

    def names(self) -> frozenset[str]:
        """The requests that can be made."""
        return frozenset(self._templates)

    def writes(self, name: str) -> bool:
        """Whether that request writes; False for one that is not on the list."""
        return name in self._templates and self._templates[name].writes

    def require(self, request: object) -> Allowed:
        """For transports: the request, if this guard made it."""
        if not isinstance(request, Allowed) or request.guard is not self:
            raise RequestNotAllowed("only what this guard let through is sent")
        return request

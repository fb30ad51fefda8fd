"""Answers in JSON: people, texts and telephones taken out of them, whatever else they hold dropped. No I/O here.

Who answers so names fields as `Person` does: id, extension, name, email, ddis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import Device, Person
from connectors.errors import ProtocolViolation
from connectors.transport.text import whole


def text_of(raw: object) -> str:
    """A text of an answer. ProtocolViolation when it is none, or longer than anything that is shown."""
    if not isinstance(raw, str) or len(raw) > 1024:
        raise ProtocolViolation("the phone system described a person in a way that makes no sense")
    return whole(raw)


def texts_of(raw: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(raw, list) or len(raw) > 1000:
        raise ProtocolViolation("the phone system's answer makes no sense")
    return tuple(map(text_of, raw))


def person_of(raw: object, wanted: str | None = None) -> Person:
    """A Person from an answer; unknown keys are dropped here. ProtocolViolation when it is not the one `wanted`."""
    if not isinstance(raw, dict):
        raise ProtocolViolation("the phone system described a person in a way that makes no sense")
    email = None if raw.get("email") is None else text_of(raw["email"])
    ddis = None if raw.get("ddis") is None else texts_of(raw["ddis"])
    person = Person(text_of(raw.get("id")), text_of(raw.get("extension")), text_of(raw.get("name")), email, ddis)
    if wanted is not None and person.id != wanted:
        raise ProtocolViolation("the phone system answered about somebody else")
    return person


def people_of(answer: Mapping[str, Any], limit: int) -> tuple[Person, ...]:
    """Those of an answer, of which there are no more than was asked for."""
    raw = answer.get("people")
    if not isinstance(raw, list) or len(raw) > limit:
        raise ProtocolViolation("the phone system sent other than was asked for")
    return tuple(map(person_of, raw))


def devices_of(answer: Mapping[str, Any], limit: int) -> tuple[Device, ...]:
    """Telephones by account and network address."""
    raw = answer.get("devices")
    if not isinstance(raw, list) or len(raw) > limit or not all(isinstance(one, dict) for one in raw):
        raise ProtocolViolation("the phone system described telephones in a way that makes no sense")
    return tuple(Device(f"{text_of(one.get('account'))} at {text_of(one.get('address'))}", None) for one in raw)

"""That a command of a phone system's prompt which stays off until its customer switches it on was switched on by them.

More than before needs signatures of the customer's own keys, or stands there as given by telephone; less needs
nothing. Followed entry by entry, as everything that a permission rests on (audit/approvals.py). Standard library alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.checked import Fault
from audit.reportfile import Entry
from audit.told import harmless


@dataclass(slots=True)
class SwitchedOn:
    """What is on at each phone system, and who signed which list. `whole`: the report begins where the log does."""

    whole: bool
    _on: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    _signed: dict[tuple[str, int, frozenset[str]], set[str]] = field(default_factory=dict)

    def signed(self, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
        """One approver's signature, which was checked already, is over just this list. Fault."""
        system, version, entries = _list(body, data)
        shown = one.clear.get("words")
        if shown is not None:
            text = str(shown.value())
            if hashlib.sha256(text.encode()).hexdigest() != data["digest"]:
                raise Fault(f"the words of the list in entry {index} are not those that were signed")
            if not _same(text, system, version, entries):
                raise Fault(f"the list that was signed in entry {index} is another than the log says")
        self._signed.setdefault((system, version, entries), set()).add(str(data["approver"]))

    def signers(self, body: Mapping[str, Any], data: Mapping[str, Any]) -> set[str]:
        """Who signed the list that a change brings."""
        return self._signed.get(_list(body, data), set())

    def changed(
        self, index: int, body: Mapping[str, Any], data: Mapping[str, Any], count: int, needed: int, *, by_call: bool
    ) -> str:
        """A list comes into force; what is told of it. Fault.

        `count`: as how many persons its signers count; `by_call`: whether the agreement lets one be given by telephone.
        """
        system, version, entries = _list(body, data)
        before_version, before = self._on.get(system, (0, frozenset[str]()))
        known = self.whole or system in self._on
        if known and version != before_version + 1:
            raise Fault(f"the list of commands in entry {index} does not follow the one before")
        self._on[system] = version, entries
        name = harmless(system)
        if known and entries <= before:
            return f"commands were switched off at the prompt of {name}"
        if count >= needed:
            return f"the commands switched on at the prompt of {name} were signed by the customer's own keys"
        if count:
            raise Fault(f"the list of commands in entry {index} has {count} signatures, the agreement wants {needed}")
        how = str(data.get("how", ""))
        if how.startswith("by telephone") and not by_call:
            raise Fault(
                f"the list of commands in entry {index} was given by telephone: the agreement takes no call for that"
            )
        if how.startswith("by telephone"):
            return f"the commands switched on at the prompt of {name} were NOT signed: {harmless(how)}"
        if not known:
            return f"the commands switched on at the prompt of {name} rest on what stands before: not checked here"
        raise Fault(
            f"the list of commands in entry {index} rests on no signature: nobody of the customer's switched it on"
        )

    def intended(self, index: int, body: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """An operation begins: a command that has to be switched on, is. Fault."""
        if "list" not in data:
            return
        found = self._on.get(str(body["system"]))
        if found is None and not self.whole:
            return
        version, entries = found or (0, frozenset[str]())
        if int(data["list"]) != version or not frozenset(str(name) for name in data["fields"]) <= entries:
            raise Fault(f"the command in entry {index} was not switched on by the customer when it was begun")


def _list(body: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, int, frozenset[str]]:
    return str(body["system"]), int(data["list"]), frozenset(str(name) for name in data["entries"])


def _same(text: str, system: str, version: int, entries: frozenset[str]) -> bool:
    try:
        told = json.loads(text)
        return told["system"] == system and told["list"] == version and frozenset(told["entries"]) == entries
    except (ValueError, TypeError, KeyError, RecursionError):
        return False

"""Direct numbers as inbound routes hold them. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SEPARATORS: Final = re.compile(r"[().\- /]")
_MOST: Final = 200_000
"""Numbers kept; a phone system of this make has thousands at most."""

_DID: Final = re.compile(r"[0-9().+\- ]{3,31}").fullmatch
"""A number, and no pattern."""
_EXTENSION: Final = re.compile(r"[0-9]{1,8}").fullmatch
_DIDS: Final = ("did", "did_number", "did_pattern")
_EXTENSIONS: Final = ("ext_num", "ext_number", "extension", "ext_id")

Some = str | tuple[str, ...]


def e164(stored: str, country_code: str) -> str:
    """A number as E.164 where that can be told, else as it is stored."""
    bare = _SEPARATORS.sub("", stored)
    if re.fullmatch(r"\+[1-9][0-9]{6,14}", bare):
        return bare
    if re.fullmatch(r"00[1-9][0-9]{6,14}", bare):
        return f"+{bare[2:]}"
    if re.fullmatch(r"0[1-9][0-9]{5,12}", bare):
        return f"+{country_code}{bare[1:]}"
    return f"+{bare}" if re.fullmatch(rf"{country_code}[1-9][0-9]{{7,12}}", bare) else stored


def word(typed: str, country_code: str) -> str:
    """A word of a search as it would be shown, where it looks like a whole or half a direct number."""
    digits = _SEPARATORS.sub("", typed)
    if re.fullmatch(r"\+[0-9]{3,15}", digits):
        return digits
    return f"+{country_code}{digits[1:]}" if re.fullmatch(r"0[1-9][0-9]{5,13}", digits) else typed


class DirectNumbers:
    """Whose numbers are whose: taken out of one route after the other.

    A number is somebody's where a route names it and one extension: a one-to-one list (`pattern_to_ext_list`), or
    plain numbers that all go to one extension. What a pattern or a range would reach is not guessed: `unread` counts
    such routes, and who has no other number is then shown as "not available" instead of "none".
    """

    def __init__(self, country_code: str) -> None:
        self._country = country_code
        self._by_number: dict[str, Some] = {}
        self._by_id: dict[int, Some] = {}
        self._count = 0
        self.routes = 0
        self.unread = 0

    def routes_of(self, wanted: Sequence[int], told: Sequence[Mapping[str, Any]]) -> None:
        """Those that were asked for, as `inbound_route/query` describes them; one that it leaves out is unread."""
        found = {raw.get("id"): raw for raw in told}
        for one in wanted:
            self._route(found.get(one, {}))

    def _route(self, raw: Mapping[str, Any]) -> None:
        self.routes += 1
        match raw.get("did_option"):
            case "pattern_to_ext_list":
                self.unread += not self._pairs(_list(raw.get("did_pattern_to_ext_list", "")))
            case "patterns":
                self.unread += not self._plain(raw)
            case _:
                self.unread += 1

    def _pairs(self, entries: Sequence[Any]) -> bool:
        """Numbers and their extensions. The names of the two members are not in what we could read of the
        documentation: these are taken, as the first entry has them, and whatever else there is counts as unread."""
        first = entries[0] if entries and isinstance(entries[0], dict) else {}
        did_key = next((key for key in _DIDS if key in first), "")
        ext_key = next((key for key in _EXTENSIONS if key in first), "")
        if ext_key == "ext_id":
            return self._by_ids(entries, did_key)
        whole, kept = not entries or bool(did_key), self._by_number
        for entry in entries:
            # Tens of thousands of these come before the first row is shown: nothing here that need not be.
            try:
                did, whose = entry[did_key], entry[ext_key]
            except (TypeError, KeyError, IndexError):
                whole = False
                continue
            if type(did) is not str or type(whose) is not str or not _DID(did) or not _EXTENSION(whose):
                whole = False
            elif whose in kept or self._count >= _MOST:
                whole &= self._keep(kept, whose, did)
            else:
                kept[whose] = did
                self._count += 1
        return whole

    def _by_ids(self, entries: Sequence[Any], did_key: str) -> bool:
        """The same, where an extension is told by the phone system's own id."""
        whole = bool(did_key)
        for entry in entries:
            did, whose = (entry.get(key) if isinstance(entry, dict) else None for key in (did_key, "ext_id"))
            id_ = "" if isinstance(whose, bool) else _digits(str(whose), 10)
            if not isinstance(did, str) or not _DID(did) or not int(id_ or 0):
                whole = False
            else:
                whole &= self._keep(self._by_id, int(id_), did)
        return whole

    def _plain(self, raw: Mapping[str, Any]) -> bool:
        """Numbers of a route that goes to one extension. True where none of it could be somebody's unseen."""
        if raw.get("def_dest") != "extension":
            return True  # to a group, a menu or nobody: a number of the firm's, and no person's
        owner = raw.get("def_dest_value")
        found = [e.get("did_pattern") if isinstance(e, dict) else None for e in _list(raw.get("did_pattern_list"))]
        plain = [did for did in found if isinstance(did, str) and _DID(did)]
        id_ = _digits(str(owner), 10)
        if not id_ or len(plain) != len(found):
            return False
        return all(self._keep(self._by_id, int(id_), did) for did in plain)

    def _keep(self, kept: dict[Any, Some], owner: str | int, did: str) -> bool:
        if self._count >= _MOST:
            return False
        self._count += 1
        before = kept.get(owner, ())
        # Nearly everybody has one: a tuple for each would be half of the memory.
        several = (before,) if isinstance(before, str) else before
        kept[owner] = (*several, did) if several else did
        return True

    def of(self, owner: int, extension: str) -> tuple[str, ...] | None:
        """Of one extension, by its id and its number; None where it cannot be told."""
        found: list[str] = []
        for some in (self._by_number.get(extension, ()), self._by_id.get(owner, ())):
            found += (some,) if isinstance(some, str) else some
        shown = tuple(dict.fromkeys(e164(did, self._country) for did in found))
        return shown if shown or not self.unread else None


def _digits(raw: object, most: int) -> str:
    """That text, if it is digits and no more of them than that; "" for anything else."""
    return raw if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) <= most else ""


def _list(raw: object) -> list[Any]:
    """A list; none where there is none; one entry that makes no sense for what is no list."""
    return raw if isinstance(raw, list) else [] if raw is None else [None]

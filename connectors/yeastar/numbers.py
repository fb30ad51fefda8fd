"""Direct numbers as inbound routes hold them. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SEPARATORS: Final = re.compile(r"[().\- /]")
_MOST: Final = 200_000
"""Numbers kept; a phone system of this make has thousands at most."""

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
                whole = [self._pair(entry) for entry in _list(raw.get("did_pattern_to_ext_list", ""))]
                self.unread += not all(whole)
            case "patterns":
                self.unread += not self._plain(raw)
            case _:
                self.unread += 1

    def _pair(self, entry: object) -> bool:
        """One number and its extension. The names of the two members are not in what we could read of the
        documentation: these are taken, and whatever else there is counts as unread."""
        if not isinstance(entry, dict):
            return False
        did = next((entry[key] for key in ("did", "did_number", "did_pattern") if key in entry), None)
        extension = next((entry[key] for key in ("ext_num", "ext_number", "extension") if key in entry), None)
        if not isinstance(did, str) or not re.fullmatch(r"[0-9().+\- ]{3,31}", did):
            return False
        if isinstance(extension, str) and re.fullmatch(r"[0-9]{1,8}", extension):
            return self._keep(self._by_number, extension, did)
        owner = entry.get("ext_id")
        if isinstance(owner, str) and re.fullmatch(r"[0-9]{1,10}", owner):
            owner = int(owner)
        return isinstance(owner, int) and self._keep(self._by_id, owner, did)

    def _plain(self, raw: Mapping[str, Any]) -> bool:
        """Numbers of a route that goes to one extension. True where none of it could be somebody's unseen."""
        if raw.get("def_dest") != "extension":
            return True  # to a group, a menu or nobody: a number of the firm's, and no person's
        owner = raw.get("def_dest_value")
        found = [e.get("did_pattern") if isinstance(e, dict) else None for e in _list(raw.get("did_pattern_list"))]
        plain = [did for did in found if isinstance(did, str) and re.fullmatch(r"[0-9().+\- ]{3,31}", did)]
        if not re.fullmatch(r"[0-9]{1,10}", str(owner)) or len(plain) != len(found):
            return False
        return all(self._keep(self._by_id, int(str(owner)), did) for did in plain)

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


def _list(raw: object) -> list[Any]:
    """A list; none where there is none; one entry that makes no sense for what is no list."""
    return raw if isinstance(raw, list) else [] if raw is None else [None]

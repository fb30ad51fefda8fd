"""Direct numbers: what is shown (E.164) to what FusionPBX's destinations hold, and back. Nothing here does I/O.

Source: FusionPBX, app/destinations/resources/classes/destinations.php, `to_regex`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.fusionpbx.settings import Numbers


@dataclass(frozen=True, slots=True)
class Stored:
    """A number as a destination holds it."""

    number: str
    prefix: str = ""
    trunk: str = ""
    area: str = ""

    def regex(self) -> str:
        """The expression that FusionPBX makes of it, for the dialplan and for `destination_number_regex`."""
        area_number = self.area + self.number
        if self.prefix and self.trunk and self.area:
            ways = (rf"(\+?{self.prefix}{area_number}$", f"{self.trunk}{area_number}$", f"{area_number}$")
            return "|^".join((*ways, f"{self.number}$)"))
        if self.prefix and self.trunk:
            return rf"(\+?{self.prefix}{self.number}$|^{self.trunk}{self.number}$|^{self.number}$)"
        if self.prefix and self.area:
            return rf"(\+?{self.prefix}{area_number}$|^{area_number}$|^{self.number}$)"
        if self.number.startswith("+"):
            return rf"^\+({self.number[1:]})$"
        bare = self.prefix.replace("+", "")
        before = "" if not bare else rf"\+?{bare}?" if len(bare) == 1 else rf"\+?(?:{bare})?"
        return f"^{before}({self.number})$"

    def dialled(self) -> tuple[str, ...]:
        """What FreeSWITCH's cache may know it by (destination_edit.php, "clear the cache")."""
        ways = [self.number]
        if self.prefix:
            ways += [self.prefix + self.area + self.number, f"+{self.prefix}{self.area}{self.number}"]
        if self.trunk or self.area:
            ways += [self.trunk + self.area + self.number, self.area + self.number]
        return tuple(dict.fromkeys(way for way in ways if re.fullmatch(r"\+?[0-9]{1,20}", way)))


def stored(e164: str, settings: Numbers, trunk: str = "") -> Stored | None:
    """As this site writes it; `trunk`: the one that the destination has already. None where it cannot be written."""
    if not re.fullmatch(r"\+[1-9][0-9]{5,14}", e164):
        return None
    home = f"+{settings.country_code}"
    if settings.write == "plus":
        return Stored(e164)
    if settings.write == "digits":
        return Stored(e164[1:])
    if not e164.startswith(home):
        return None
    rest = e164.removeprefix(home)
    if settings.write == "national":
        return Stored(settings.trunk + rest)
    return Stored(rest, prefix=settings.country_code, trunk=trunk)


def word(typed: str, settings: Numbers) -> str:
    """A word of a search as numbers are shown, when it looks like a whole or half a direct number."""
    digits = re.sub(r"[().\-/]", "", typed)
    if re.fullmatch(r"\+[0-9]{3,15}", digits):
        return digits
    if settings.trunk and re.fullmatch(rf"{settings.trunk}[0-9]{{6,14}}", digits):
        return f"+{settings.country_code}{digits[len(settings.trunk) :]}"
    return typed

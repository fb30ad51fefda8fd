"""Everything that this connector can send to a Communication Manager, by name, and the lines of each.

What is not here cannot be sent: the link takes what `GUARD` let through, and `render` knows no other command. Fields
of a station are always named, by the phone system's own ids: a bare `display` would answer with every one, its
security code among them. The id of that one is not public, and stands nowhere here. A line of the prompt is one of its
catalogue (`connectors.console`), which knows no form with a security code in it.

Source: adpllc/altruistic-angelshark and benroy73/pbxd (public programs, run against live systems): `list station`,
`change station`, `clear amw all`, `remove station`, the ids below. Avaya has published no description of OSSI.
"""

from __future__ import annotations

from typing import Final

from connectors.console import AVAYA, Class, only
from connectors.errors import RequestNotAllowed
from connectors.guard import Allowed, Guard, Template, number, text

EXTENSION: Final = "8005ff00"
NAME: Final = "8003ff00"
TYPE: Final = "004fff00"
SHOWN: Final = (EXTENSION, NAME, TYPE)
"""The fields that are asked for, whatever is asked: the extension, the name, and which set it is."""
NAMES: Final = r"[!-~](?:[ -~]{0,25}[!-~])?"
"""A name as the phone system holds it: 27 characters that every set of it can show. It has others by its own coding
(Eurofont), which no public program writes."""
NAMES_FORM: Final = "27 ASCII characters at most, without a blank at an end"

_STATION: Final = text(13, pattern=r"[0-9]{1,13}")
_COUNT: Final = number(1, 1001)
GUARD: Final = Guard(
    Template("stations", False, {"count": _COUNT}),
    Template("stations-from", False, {"station": _STATION, "count": _COUNT}),
    Template("rename", True, {"station": _STATION, "name": text(27, pattern=NAMES, form=NAMES_FORM)}),
    Template("clear-messages", True, {"station": _STATION}),
    Template("remove", True, {"station": _STATION}),
    Template("look", False, {"line": only(AVAYA, Class.LOOK)}),
)


def render(request: Allowed) -> bytes:
    """The lines of a request. RequestNotAllowed for what this guard did not let through."""
    request = GUARD.require(request)
    values = request.values
    fields = "\t".join(SHOWN)
    match request.name:
        case "stations":
            lines = [f"clist station count {values['count']}", f"f{fields}"]
        case "stations-from":
            lines = [f"clist station {values['station']} count {values['count']}", f"f{fields}"]
        case "rename":
            lines = [f"cchange station {values['station']}", f"f{NAME}", f"d{values['name']}"]
        case "clear-messages":
            lines = [f"cclear amw all {values['station']}"]
        case "remove":
            lines = [f"cremove station {values['station']}"]
        case "look":
            lines = [f"c{values['line']}", *([f"f{fields}"] if values["line"] == "list station" else [])]
        case _:
            raise RequestNotAllowed("there are no lines for that request")
    return "".join(f"{line}\n" for line in (*lines, "t")).encode("ascii")

"""What the command line can ask of a deployment: one method a command, JSON in and out, wherever it runs.

`control.py` carries the same calls to a serving process, so that SQLite is never shared between two. Each part has a
file, which is imported for the first command that it has: a command of a deployment that does not serve would spend
most of its time importing the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import NotFoundError, UnavailableError
from gateway.wiring.asking import Gathered as Gathered
from gateway.wiring.asking import Row as Row
from gateway.wiring.asking import Stream as Stream

if TYPE_CHECKING:
    from gateway.wiring.app import App
    from gateway.wiring.parts import Parts

_PARTS: Final[Mapping[str, tuple[str, str]]] = {
    "access": ("access", "AccessCommands"),
    "agreement": ("customers", "CustomerCommands"),
    "approver": ("telling", "TellingCommands"),
    "audit": ("tail", "TailCommands"),
    "audit reader": ("readers", "ReaderCommands"),
    "audit report": ("reports", "ReportCommands"),
    "audit search": ("searching", "Searching"),
    "backup": ("keeping", "KeepingCommands"),
    "channel": ("telling", "TellingCommands"),
    "console": ("consoles", "ConsoleCommands"),
    "contact": ("telling", "TellingCommands"),
    "customer": ("customers", "CustomerCommands"),
    "customer month": ("months", "MonthCommands"),
    "customer oidc": ("providers", "ProviderCommands"),
    "drain": ("keeping", "KeepingCommands"),
    "engineer": ("engineers", "EngineerCommands"),
    "erase": ("subjects", "SubjectCommands"),
    "erasure": ("subjects", "SubjectCommands"),
    "explain": ("permission", "PermissionCommands"),
    "grant": ("permission", "PermissionCommands"),
    "hold": ("subjects", "SubjectCommands"),
    "import": ("importing", "ImportCommands"),
    "keys": ("master_keys", "MasterKeyCommands"),
    "recording": ("visits", "VisitCommands"),
    "recording permit": ("subjects", "SubjectCommands"),
    "recording propose": ("subjects", "SubjectCommands"),
    "recovery": ("recovering", "RecoveryCommands"),
    "request": ("permission", "PermissionCommands"),
    "retention": ("retention", "RetentionCommands"),
    "session": ("visits", "VisitCommands"),
    "staff": ("staff", "StaffCommands"),
    "subject": ("subjects", "SubjectCommands"),
    "system": ("systems", "SystemCommands"),
    "system confirm address": ("customers", "CustomerCommands"),
    "system credential": ("importing", "ImportCommands"),
    "system helper": ("helpers", "HelperCommands"),
    "visit": ("outside", "OutsideCommands"),
}
"""The first words of a command -> file and class of its part; the most words count."""
_NO_ACT: Final = frozenset({"audit verify", "drain"})
"""What no log tells of, so that nobody has to be known for it: whoever verifies leaves a deployment that was just
restored as it was backed up, and a drain needs no database."""


def _method(name: str) -> str:
    return "do_" + name.replace(" ", "_").replace("-", "_")


def _part(name: str) -> Any:
    """The class that has a command, or would have it; None for words that begin none."""
    words = name.replace("-", " ").split()
    for count in range(len(words), 0, -1):
        if found := _PARTS.get(" ".join(words[:count])):
            return getattr(import_module(f"{__name__}.{found[0]}"), found[1])
    return None


def load() -> None:
    """Import every part now: a process that serves others should not stop for it later."""
    for name in _PARTS:
        _part(name)


class Admin:
    """Every command."""

    def __init__(self, parts: Parts, app: App | None = None) -> None:
        self._parts, self._app = parts, app

    async def call(self, name: str, login: str, given: Row, stream: Stream | None = None) -> Any:
        """Run one method by its command's name ("grant revoke"), for whoever has this login. NotFoundError when there
        is none.

        What goes on for a while tells it to `stream`, and then gives None or a summary; without a `stream` its rows
        are the result.
        """
        part = _part(name)
        if not hasattr(part, _method(name)):
            raise NotFoundError(f"no such command: {name}")
        method = getattr(part(self._parts, self._app), _method(name))
        gathered = Gathered()
        streams = {"stream": stream or gathered} if self.streams(name) else {}
        try:
            inspect.signature(method).bind(actor="", **given, **streams)
        except TypeError as error:
            raise UnavailableError(
                "the command line and the serving process are of two versions", next_step="Restart `frameroom serve`."
            ) from error
        actor = "" if name in _NO_ACT else await self._parts.staff.known(login)
        result = await method(actor=actor, **given, **streams)
        return gathered.all if result is None and stream is None else result

    def streams(self, name: str) -> bool:
        """True for what goes on for a while, and is stopped when whoever asked is gone."""
        method = getattr(_part(name), _method(name), None)
        return method is not None and "stream" in inspect.signature(method).parameters

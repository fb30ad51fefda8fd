"""What the command line can ask of a deployment: one method a command, JSON in and out, wherever it runs.

`control.py` carries the same calls to a serving process, so that SQLite is never shared between two. Each part has a
file: engineers, customers, months, access, consoles, systems, permission, visits, outside, log, searching, tail,
importing, keeping, master keys, erasing, subjects, retention, recovering, telling, providers.
"""

from __future__ import annotations

import inspect
from typing import Any

from gateway.errors import NotFoundError, UnavailableError
from gateway.wiring.admin.access import AccessCommands
from gateway.wiring.admin.base import Gathered, Row, Stream
from gateway.wiring.admin.consoles import ConsoleCommands
from gateway.wiring.admin.customers import CustomerCommands
from gateway.wiring.admin.engineers import EngineerCommands
from gateway.wiring.admin.helpers import HelperCommands
from gateway.wiring.admin.importing import ImportCommands
from gateway.wiring.admin.keeping import KeepingCommands
from gateway.wiring.admin.master_keys import MasterKeyCommands
from gateway.wiring.admin.months import MonthCommands
from gateway.wiring.admin.outside import OutsideCommands
from gateway.wiring.admin.permission import PermissionCommands
from gateway.wiring.admin.providers import ProviderCommands
from gateway.wiring.admin.readers import ReaderCommands
from gateway.wiring.admin.recovering import RecoveryCommands
from gateway.wiring.admin.reports import ReportCommands
from gateway.wiring.admin.retention import RetentionCommands
from gateway.wiring.admin.searching import Searching
from gateway.wiring.admin.subjects import SubjectCommands
from gateway.wiring.admin.systems import SystemCommands
from gateway.wiring.admin.tail import TailCommands
from gateway.wiring.admin.telling import TellingCommands
from gateway.wiring.admin.visits import VisitCommands


class Admin(
    EngineerCommands, ProviderCommands, TellingCommands, RecoveryCommands, CustomerCommands, SystemCommands,
    PermissionCommands,
    ReportCommands, VisitCommands, TailCommands, ImportCommands, KeepingCommands, SubjectCommands, RetentionCommands,
    ReaderCommands, AccessCommands, ConsoleCommands, OutsideCommands, MonthCommands, MasterKeyCommands, HelperCommands,
    Searching,
):  # fmt: skip
    """Every command."""

    async def call(self, name: str, actor: str, given: Row, stream: Stream | None = None) -> Any:
        """Run one method by its command's name ("grant revoke"). NotFoundError when there is none.

        What goes on for a while tells it to `stream`, and then gives None or a summary; without a `stream` its rows
        are the result.
        """
        method = getattr(self, "do_" + name.replace(" ", "_").replace("-", "_"), None)
        if method is None:
            raise NotFoundError(f"no such command: {name}")
        gathered = Gathered()
        streams = {"stream": stream or gathered} if self.streams(name) else {}
        try:
            inspect.signature(method).bind(actor=actor, **given, **streams)
        except TypeError as error:
            raise UnavailableError(
                "the command line and the serving process are of two versions", next_step="Restart `frameroom serve`."
            ) from error
        result = await method(actor=actor, **given, **streams)
        return gathered.all if result is None and stream is None else result

    def streams(self, name: str) -> bool:
        """True for what goes on for a while, and is stopped when whoever asked is gone."""
        method = getattr(self, "do_" + name.replace(" ", "_").replace("-", "_"), None)
        return method is not None and "stream" in inspect.signature(method).parameters


__all__ = ["Admin", "Gathered", "Row", "Stream"]

"""`frameroom audit report`: one file about a visit, a permission, or everything since; its customer checks it alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from audit.events import OPERATOR_LOG
from audit.publisher import object_name
from audit.report import RecordingDeletedError, Reporter, check_recorded
from audit.reportfile import Report, ReportError
from gateway.errors import InvalidError, NotFoundError
from gateway.store.tables import grants
from gateway.wiring.admin.base import Stream
from gateway.wiring.admin.log import notes_in
from gateway.wiring.admin.visits import VisitCommands

_PIECE: Final = 1 << 20


class ReportCommands(VisitCommands):
    """Visit reports."""

    async def do_audit_report(
        self, actor: str, why: str, session: str | None = None, grant: str | None = None,
        since_ms: int | None = None, customer: str | None = None, held: Sequence[str] = (), recording: bool = False,
        *, stream: Stream,
    ) -> None:  # fmt: skip
        """The report's text, in pieces. That somebody made it stands in the log before."""
        if [session, grant, since_ms].count(None) != 2:
            raise InvalidError("a report is of one thing: --session, --grant or --since")
        if recording and session is None:
            raise InvalidError("a recording is in the report of one visit: --session")
        if recording and (session or "").startswith("vis_"):
            raise InvalidError(
                "there is no recording of a visit that is not recorded here", next_step="Leave --recording out."
            )
        notes = [note for text in held for note in notes_in(text)]
        if session is not None or grant is not None:
            if session is not None:
                row = await self._any_visit(session)
            else:
                row = await self._row(grants, str(grant), "permission", "grant list")
            log, wanted = str(row.customer_id), str(row.id)
        else:
            log, wanted = OPERATOR_LOG if customer is None else await self._customer(customer), ""
        if recording:
            await self._still_there(row)
            await self._may_look(row, actor)
            await self._looked(row, actor, "looked.recording", why)
        if session is not None:
            await self._looked(row, actor, "looked.session", why, data={"how": "report"})
        else:
            async with self._parts.store.scope(log) as scope:
                await self._look(scope, "looked.audit", actor, why)
        try:
            report = await self._report(log, session and wanted, grant and wanted, since_ms, notes, recording)
        except ReportError as error:
            raise NotFoundError(str(error), next_step="`frameroom audit verify` looks at the whole log.") from error
        text = report.text()
        for start in range(0, len(text), _PIECE):
            await stream.rows([{"text": text[start : start + _PIECE]}])

    async def _still_there(self, visit: Any) -> None:
        """NotFoundError for a recording that was deleted when its period was over. Nobody looked at it, then."""
        try:
            async with self._parts.store.look(visit.customer_id) as scope:
                await check_recorded(scope.connection, visit.customer_id, visit.id)
        except RecordingDeletedError as error:
            raise NotFoundError(
                str(error), next_step="Leave --recording out: the report then says that it was deleted, and holds."
            ) from error

    async def _report(
        self, log: str, session: str | None, grant: str | None, since_ms: int | None, held: Sequence[str],
        recording: bool,
    ) -> Report:  # fmt: skip
        await self._parts.sequence()
        # Before the view of the database begins, so that the view has all that it speaks of.
        note = await asyncio.to_thread(self._parts.objects.get, object_name(log))
        if note is None:
            raise ReportError("nothing of this log is published yet")
        async with self._parts.store.look(log) as scope:
            signing = self._parts.signing
            made = Reporter(scope.connection, self._parts.audit, self._parts.objects, note.decode(), signing.handovers)
            if session is not None:
                return await made.visit(session, held, recording=recording)
            if grant is not None:
                return await made.permission(grant, held)
            return await made.since(since_ms or 0, held)

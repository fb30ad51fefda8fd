"""A customer's month on one page: who came in, what was permitted, changed, reset and refused, and what was wrong.

The visits are those that began in the month; the rest is read out of the customer's own log. Months are those of the
customer's zone. Nobody can choose what stands in it; a section in which nothing happened says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select

from audit.log import AuditLog, Row
from audit.sealing import SealingError
from gateway import notify
from gateway.access.looking import OWN
from gateway.access.told import KINDS as DONE
from gateway.access.told import TYPED, Counting, line_of, tells
from gateway.errors import InvalidError
from gateway.identity.staff import names as staff_names
from gateway.lifecycle import OutsideState, SessionState
from gateway.notify import summaries
from gateway.numbers import country_of
from gateway.store.engine import Scope
from gateway.store.outside_tables import outside_visits as outside
from gateway.store.tables import approvers, customers, engineers, grants, requests, sessions, systems

_LONGEST: Final = 100
_A_READ: Final = 1000
_NAME: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_PERMISSIONS: Final = {
    "request.granted": "{engineer} was let into {system} until {until_ms} ({how}), to {operations}",
    "grant.revoked": "the permission of {engineer} for {system} was ended ({how}): {reason}",
    "access.changed": "access was set to {mode} by {by} ({how})",
    "roster.changed": "{engineer} is now {state} on the list of engineers",
    "agreement.set": "the agreement was drawn up anew (version {version})",
    "agreement.confirmed": "the agreement was confirmed by {by} (version {version}): {how}",
    "agreement.withdrawn": "the agreement was withdrawn by {by} (version {version}): {how}",
}
_REFUSALS: Final = {
    "request.denied": "{engineer} asked to come into {system} and was refused: {reason}",
    "request.expired": "{engineer} asked to come into {system} and nobody answered in time",
    "request.withdrawn": "{engineer} asked to come into {system} and took it back",
    "session.refused": "{engineer} was not let into {system}: {reason}",
    "operation.refused": "{name} was refused on {system}: {code}",
    "operation.failed": "{name} failed on {system}: {code}",
}
_ALARMS: Final = {
    "session.failed": "a visit of {engineer} to {system} ended by a failure: {reason}",
    "secret.undelivered": "a new password reached nobody",
    "secret.unconfirmed": "a new password may have reached nobody",
    "login.foreign": "the login that we keep for {system} was used without a visit ({login})",
    "approver.added": "{name} may say yes for you from now on",
    "approver.removed": "{approver} may say yes for you no more",
    "approver.key_enrolled": "{approver} made a passkey",
    "approver.key_removed": "a passkey of {approver} counts no more",
    "log.key_changed": "your log is signed with a new key",
    "log.restored": "PART OF YOUR LOG WAS LOST: {lost} entries",
    "notice.failed": "{carried} could not be delivered ({what})",
}
_NOT_NEEDED: Final = frozenset({"answered", "removed"})
"""Why a notice was not sent that nobody misses: what it asked was answered, or its reader is gone."""
_LOOKS: Final = {
    "looked.recording": "{who} looked at a recording: {why}",
    "looked.session": "{who} looked at a visit: {why}",
    "looked.subject": "{who} looked at what is held about a person: {why}",
}


_OUTSIDE: Final = {
    OutsideState.OPEN: "the engineer says what was done when it is over",
    OutsideState.ENDED: "not told yet, what was done",
    OutsideState.TOLD: "the engineer says what was done, which nothing here can prove",
}
_COUNTED_APART: Final = frozenset({"Who looked at records"})
"""The customer's own looks are one line for each of their people."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page. `none` is what it says without lines; `more`: how many lines were left out."""

    title: str
    lines: tuple[str, ...]
    none: str
    more: int = 0


@dataclass(frozen=True, slots=True)
class Month:
    """The page. `from_ms` and `until_ms` (not in it) are midnights in `zone`; `ongoing` when it is not over yet."""

    month: str
    title: str
    customer: str
    zone: str
    from_ms: int
    until_ms: int
    ongoing: bool
    sections: tuple[Section, ...]

    def text(self) -> str:
        """The page as a mail or a terminal shows it."""
        head = f"What happened at the phone systems of {self.customer} in {self.title}"
        head += ", so far.\n" if self.ongoing else ".\n"
        head += "You get this page every month, also when nobody came in.\n"
        parts = [head]
        for section in self.sections:
            lines = section.lines or (section.none,)
            more = [f"and {section.more} more, each in your log"] if section.more else []
            parts.append(f"{section.title}:\n{notify.bullets([*lines, *more])}")
        return "\n".join([*parts, f"Times are those of {self.zone}.\n"])


def month_of(at_ms: int, zone: ZoneInfo) -> str:
    """2026-10: the month of a time, by the zone's calendar."""
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%Y-%m}"


def next_month(month: str) -> str:
    """2026-10 → 2026-11."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + 1}-01" if number == 12 else f"{year}-{number + 1:02d}"


def title_of(month: str) -> str:
    """2026-10 → October 2026."""
    return f"{datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC):%B %Y}"


def begins_ms(month: str, zone: ZoneInfo) -> int:
    """The first midnight of a month, Unix ms. InvalidError for what is none."""
    found = _NAME.fullmatch(month)
    if found is None or not 1970 < int(found[1]) < 9999:
        raise InvalidError(f"{month[:20]!r} is no month", next_step="A month looks like 2026-10.")
    return int(datetime(int(found[1]), int(found[2]), 1, tzinfo=zone).timestamp() * 1000)


class Months:
    """Makes the page, out of one transaction of the customer's."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit, self._counting = audit, Counting(audit)

    async def page(self, scope: Scope, month: str) -> Month:
        """A month of the scope's customer. InvalidError for what is no month, or begins in the future."""
        zone = await notify.zone_of(scope)
        from_ms, until_ms = begins_ms(month, zone), begins_ms(next_month(month), zone)
        if from_ms > self._audit.clock.now():
            raise InvalidError(f"{month} has not begun yet", next_step="Leave the month out for the present one.")
        name = select(customers.c.name).where(customers.c.id == scope.customer_id)
        told = _Telling(self._audit, scope, zone, await _names(scope))
        sections = [await self._visits(scope, zone, from_ms, until_ms)]
        sections.append(await self._outside(scope, zone, from_ms, until_ms))
        await told.read(from_ms, until_ms)
        for title, none in (
            ("What was permitted", "nothing was permitted"),
            ("What was changed", "nothing was changed"),
            ("Passwords that were reset", "no password was reset"),
            ("What was refused or failed", "nothing was refused"),
            ("What you should know", "nothing out of the ordinary"),
            ("Who looked at records", "nobody"),
        ):
            lines = told.lines[title]
            left_out = max(len(lines) - _LONGEST, 0) + told.more[title]
            sections.append(Section(title, tuple(lines[:_LONGEST]), none, left_out))
        return Month(
            month, title_of(month), notify.plain((await scope.execute(name)).scalar_one()), zone.key, from_ms, until_ms,
            until_ms > self._audit.clock.now(), tuple(sections),
        )  # fmt: skip

    async def _visits(self, scope: Scope, zone: ZoneInfo, from_ms: int, until_ms: int) -> Section:
        query = (
            select(sessions, engineers.c.name.label("engineer"), systems.c.name.label("system"))
            .join(engineers, engineers.c.id == sessions.c.engineer_id)
            .join(systems, (systems.c.customer_id == sessions.c.customer_id) & (systems.c.id == sessions.c.system_id))
            .where(sessions.c.customer_id == scope.customer_id)
            .where(sessions.c.opened_ms >= from_ms, sessions.c.opened_ms < until_ms)
            .order_by(sessions.c.opened_ms)
        )
        rows = (await scope.execute(query)).all()
        shown = rows[:_LONGEST]
        did = await self._counting.told(scope, [row.id for row in shown])
        lines = []
        for row in shown:
            lasted = (
                "still going on" if row.state == SessionState.OPEN else summaries.length(row.closed_ms - row.opened_ms)
            )
            lines.append(
                f"{summaries.short(row.opened_ms, zone)}: {notify.plain(row.engineer)} in {notify.plain(row.system)}, "
                f"{lasted}: {did[row.id] or 'nothing was looked at or changed'}"
            )
        return Section("Who came in", tuple(lines), "nobody came in", len(rows) - len(shown))

    @staticmethod
    async def _outside(scope: Scope, zone: ZoneInfo, from_ms: int, until_ms: int) -> Section:
        """Of visits that Frameroom is not in between at: that there was one, and whether the engineer told of it."""
        query = (
            select(outside, engineers.c.name.label("engineer"), systems.c.name.label("system"))
            .join(engineers, engineers.c.id == outside.c.engineer_id)
            .join(systems, (systems.c.customer_id == outside.c.customer_id) & (systems.c.id == outside.c.system_id))
            .where(outside.c.customer_id == scope.customer_id)
            .where(outside.c.started_ms >= from_ms, outside.c.started_ms < until_ms)
            .order_by(outside.c.started_ms)
        )
        rows = (await scope.execute(query)).all()
        lines = []
        for row in rows[:_LONGEST]:
            lasted = "still going on" if row.ended_ms is None else summaries.length(row.ended_ms - row.started_ms)
            lines.append(
                f"{summaries.short(row.started_ms, zone)}: {notify.plain(row.engineer)} at {notify.plain(row.system)}, "
                f"{lasted}: {_OUTSIDE[row.state]} ({row.id})"
            )
        return Section(
            "Visits that are not recorded here", tuple(lines), "nobody came so", max(len(rows) - _LONGEST, 0)
        )


async def _names(scope: Scope) -> dict[str, str]:
    """Of engineers and staff, and of the customer's phone systems and approvers, by id."""
    named: dict[str, str] = {who: notify.plain(login) for who, login in (await staff_names(scope)).items()}
    for table in (engineers, systems, approvers):
        query = select(table.c.id, table.c.name)
        if table is not engineers:
            query = query.where(table.c.customer_id == scope.customer_id)
        named |= {row.id: notify.plain(row.name) for row in await scope.execute(query)}
    return named


class _Telling:
    """Sorts entries into sections, in words."""

    def __init__(self, audit: AuditLog, scope: Scope, zone: ZoneInfo, names: Mapping[str, str]) -> None:
        self._audit, self._scope, self._zone, self._names = audit, scope, zone, names
        self._country = country_of(zone.key)
        self._tables = {
            "What was permitted": _PERMISSIONS,
            "What was refused or failed": _REFUSALS,
            "What you should know": _ALARMS,
            "Who looked at records": _LOOKS,
        }
        changed, reset = "What was changed", "Passwords that were reset"
        self._section = {kind: title for title, table in self._tables.items() for kind in table}
        self._section |= {kind: reset if kind == "secret.issued" else changed for kind in DONE}
        self.more = Counter[str]()
        self.lines: dict[str, list[str]] = {title: [] for title in (*self._tables, changed, reset)}

    async def read(self, from_ms: int, until_ms: int) -> None:
        """Everything from one time until another."""
        after, kinds, own = 0, tuple(sorted(self._section)), Counter[str]()
        while rows := await self._audit.read(
            self._scope.connection, self._scope.customer_id, kinds=kinds, from_ms=from_ms, until_ms=until_ms,
            after_seq=after, limit=_A_READ,
        ):  # fmt: skip
            after = rows[-1].seq
            for row in rows:
                title = self._section[row.body["kind"]]
                if len(self.lines[title]) >= _LONGEST and title not in _COUNTED_APART:
                    # More than anybody reads: counted, and not opened.
                    self.more[title] += title in self._tables or tells(row)
                    continue
                words = await self._line(row, title)
                if words == OWN:
                    own[row.body["actor"]] += 1
                    continue
                if words:
                    self.lines[title].append(f"{summaries.short(row.body['time'], self._zone)}: {words}")
        self.lines["Who looked at records"] += [
            f"{self._names.get(who, who)}, of your own: {notify.times(count)}" for who, count in sorted(own.items())
        ]

    async def _line(self, row: Row, title: str) -> str:
        if title not in self._tables:
            words = await line_of(self._audit, self._scope, row, self._country, await self._intended(row))
            place = self._names.get(str(row.body.get("system")), "")
            return f"{notify.plain(words)} ({place})" if words and place else notify.plain(words)
        values: dict[str, Any] = dict(row.body.get("data", {}))
        try:
            values |= await self._audit.personal(self._scope.connection, row)
        except SealingError:
            values["reason"] = values["why"] = "(what the log sealed of this does not hold)"
        if title == "Who looked at records" and values.get("why") == OWN:
            return OWN
        if row.body["kind"] == "notice.failed":
            if values.get("code") in _NOT_NEEDED:
                return ""
            values["carried"] = "a message to you beside mail" if values.get("channel") else "a mail to you"
        values["system"] = row.body.get("system", "")
        values.setdefault("engineer", await self._engineer(row.body))
        return self._tables[title][row.body["kind"]].format_map(_Words(self._shown(values)))

    async def _intended(self, row: Row) -> Row | None:
        """What was intended when a password was reset (whose) or something was typed at the prompt (what)."""
        if row.body["kind"] != "secret.issued" and row.body["data"].get("name") not in TYPED:
            return None
        found = await self._audit.read(
            self._scope.connection, self._scope.customer_id, kinds=("operation.intended",),
            session=str(row.body["session"]), operation=str(row.body["operation"]),
        )  # fmt: skip
        return found[0] if found else None

    async def _engineer(self, body: Mapping[str, Any]) -> str:
        """Whose permission, or request for one, an entry concerns."""
        for table, given in ((grants, body.get("grant")), (requests, body.get("request"))):
            if given is not None:
                query = select(table.c.engineer_id).where(table.c.customer_id == self._scope.customer_id)
                return str((await self._scope.execute(query.where(table.c.id == given))).scalar() or "")
        return ""

    def _shown(self, values: Mapping[str, Any]) -> dict[str, str]:
        shown: dict[str, str] = {}
        for name, value in values.items():
            if name == "until_ms" and isinstance(value, int):
                shown[name] = summaries.short(value, self._zone)
            elif name == "operations" and isinstance(value, list):
                shown[name] = ", ".join(notify.WORDS.get(str(one), str(one)) for one in value)
            elif name == "name" and value in notify.WORDS:
                shown[name] = notify.WORDS[value]
            else:
                shown[name] = notify.plain(self._names.get(str(value), str(value))) or "-"
        return shown


class _Words(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "-"

"""What the command line can ask of a deployment: one method a command, JSON in and out, wherever it runs.

`control.py` carries the same calls to a serving process, so that SQLite is never shared between two.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from audit.events import OPERATOR_LOG, Event
from audit.inspect import published_notes, verify_database
from audit.recording.player import Player
from audit.tables import entries
from connectors.contract import CheckLine, Credential, Operation, Target
from connectors.errors import ConnectorError
from connectors.registry import families
from gateway.access.directory import system_of
from gateway.access.permission import grant_of, request_of
from gateway.errors import InvalidError, NotFoundError
from gateway.model import Terms
from gateway.store.tables import approvers, contacts, engineers, grants, operations, requests, sessions, systems
from gateway.wiring.app import App, Parts

Row = dict[str, Any]


def _when(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


class Admin:
    """`actor` is the operating system's login of whoever calls; it stands in every event."""

    def __init__(self, parts: Parts, app: App | None = None) -> None:
        self._parts, self._app = parts, app

    async def call(self, name: str, actor: str, given: Row) -> Any:
        """Run one method by its command's name ("grant revoke"). NotFoundError when there is none."""
        method = getattr(self, "do_" + name.replace(" ", "_").replace("-", "_"), None)
        if method is None:
            raise NotFoundError(f"no such command: {name}")
        return await method(actor=actor, **given)

    # --- engineers ---

    async def do_engineer_add(self, actor: str, login: str, name: str, email: str, roles: list[str]) -> Row:
        """Add."""
        engineer = await self._parts.engineers.add(actor, login, name, email, frozenset(roles))
        return {"id": engineer.id, "login": login}

    async def do_engineer_list(self, actor: str) -> list[Row]:
        """All."""
        found = await self._parts.engineers.all()
        return [
            {
                "login": e.login,
                "name": e.name,
                "email": e.email,
                "enabled": e.enabled,
                "roles": " ".join(sorted(e.roles)),
            }
            for e in found
        ]

    async def do_engineer_key(self, actor: str, login: str, key: str) -> Row:
        """Add a key."""
        return {"login": login, "fingerprint": await self._parts.engineers.add_key(actor, login, key)}

    async def do_engineer_totp(self, actor: str, login: str) -> Row:
        """Enrol."""
        secret = await self._parts.engineers.enrol_totp(actor, login)
        issuer = self._parts.settings.deployment.name
        uri = f"otpauth://totp/{issuer}:{login}?secret={secret}&issuer={issuer}"
        return {"login": login, "secret": secret, "uri": uri}

    async def do_engineer_codes(self, actor: str, login: str) -> Row:
        """Backup codes."""
        return {"login": login, "codes": await self._parts.engineers.issue_codes(actor, login)}

    async def do_engineer_enable(self, actor: str, login: str, enabled: bool) -> Row:
        """On or off; off ends the engineer's visits."""
        await self._parts.engineers.set_enabled(actor, login, enabled)
        ended = 0
        if self._app is not None and not enabled:
            for visit in self._app.visits.all():
                if visit.identity.login == login:
                    self._app.visits.end(visit, "the engineer's account was switched off")
                    ended += 1
        return {"login": login, "enabled": enabled, "visits ended": ended}

    # --- customers ---

    async def do_customer_add(self, actor: str, name: str) -> Row:
        """Add."""
        return {"id": await self._parts.directory.add_customer(actor, name), "name": name}

    async def do_customer_list(self, actor: str) -> list[Row]:
        """All."""
        return [dict(row) for row in await self._parts.directory.customer_list()]

    async def do_customer_engineer(self, actor: str, customer: str, login: str, veto: bool) -> Row:
        """Name an engineer on the customer's list, or strike them."""
        customer_id = await self._parts.directory.customer_id(customer)
        async with self._parts.store.operator_log() as scope:
            engineer = await self._parts.engineers.by_login(scope, login)
        await self._parts.directory.name_engineer(actor, customer_id, engineer.id, veto)
        return {"customer": customer, "engineer": login, "vetoed": veto}

    async def do_contact_add(self, actor: str, customer: str, **values: str) -> Row:
        """Add."""
        customer_id = await self._parts.directory.customer_id(customer)
        return {"id": await self._parts.directory.add_contact(actor, customer_id, values), "name": values["name"]}

    async def do_contact_list(self, actor: str, customer: str) -> list[Row]:
        """A customer's contacts."""
        return await self._of(customer, contacts, ("name", "position", "email", "phone", "notices"))

    async def do_approver_add(self, actor: str, customer: str, name: str, email: str, phone: str) -> Row:
        """Add."""
        customer_id = await self._parts.directory.customer_id(customer)
        approver = await self._parts.directory.add_approver(actor, customer_id, name, email, phone)
        return {"id": approver, "name": name}

    async def do_approver_list(self, actor: str, customer: str) -> list[Row]:
        """A customer's approvers."""
        return await self._of(customer, approvers, ("id", "name", "email", "phone"))

    async def _of(self, customer: str, table: Any, columns: tuple[str, ...]) -> list[Row]:
        customer_id = await self._parts.directory.customer_id(customer)
        async with self._parts.store.scope(customer_id) as scope:
            found = await scope.execute(select(table).where(table.c.customer_id == customer_id))
            return [{c: getattr(row, c) for c in columns} for row in found]

    async def do_agreement_set(self, actor: str, customer: str, terms: Row) -> Row:
        """A new version, closed until confirmed."""
        customer_id = await self._parts.directory.customer_id(customer)
        try:
            checked = Terms.model_validate(terms)
        except ValueError as error:
            raise InvalidError(str(error)) from error
        version = await self._parts.directory.set_agreement(actor, customer_id, checked)
        return {"customer": customer, "version": version, "state": "draft: it permits nothing until it is confirmed"}

    async def do_agreement_confirm(self, actor: str, customer: str, by: str, how: str) -> Row:
        """The customer confirmed it."""
        customer_id = await self._parts.directory.customer_id(customer)
        await self._parts.directory.confirm_agreement(actor, customer_id, by, how)
        return {"customer": customer, "state": "confirmed", "by": by}

    # --- phone systems ---

    async def do_system_add(
        self, actor: str, customer: str, login: str, password: str | None, private_key: str | None, **values: Any
    ) -> Row:
        """Add; the settings are checked against the connector's own."""
        family = families().get(values["connector"])
        if family is None:
            raise InvalidError(f"no such connector; there are: {', '.join(families())}")
        family.settings_model.model_validate_json(values["settings"])
        customer_id = await self._parts.directory.customer_id(customer)
        secrecy = [f"{k.value}:{s.value}" for k, s in family.capabilities().secrecy.items()]
        system = await self._parts.directory.add_system(
            actor, customer_id, values, Credential(login, password, private_key), secrecy
        )
        return {"id": system, "name": values["name"], "secrets": secrecy}

    async def do_system_list(self, actor: str) -> list[Row]:
        """All."""
        async with self._parts.store.look_at_everyone() as scope:
            rows = (await scope.execute(select(systems).order_by(systems.c.name))).all()
        return [{"id": r.id, "name": r.name, "connector": r.connector, "host": r.host} for r in rows]

    async def _system(self, name: str) -> Any:
        async with self._parts.store.look_at_everyone() as scope:
            query = select(systems).where((systems.c.name == name) | (systems.c.id == name))
            rows = (await scope.execute(query)).all()
        if len(rows) != 1:
            raise NotFoundError(f"{len(rows)} phone systems are called {name}", next_step="`frameroom system list`.")
        return system_of(rows[0])

    async def do_system_check(self, actor: str, system: str) -> list[Row]:
        """Reach, identity, credential, what it could read."""
        found = await self._system(system)
        family = families()[found.connector]
        settings = family.settings_model.model_validate_json(found.settings_json)
        target = Target(found.id, found.host, found.port, found.pin, settings)

        async def unseal() -> Credential:
            return self._parts.vault.open_credential(found.customer_id, found.id, found.sealed_credential)

        try:
            connector = await family.connect(target, unseal)
            try:
                lines = list(await connector.check())
                # What this very connection can promise may be less than its family does.
                told = getattr(connector, "capabilities", family.capabilities)()
                kept = ", ".join(f"{kind.value} {secrecy.value}" for kind, secrecy in told.secrecy.items())
                lines.append(CheckLine("how secrets are kept", True, f"{kept}: {told.secrecy_why}"))
            finally:
                await connector.close()
        except ConnectorError as error:
            return [{"what": error.code, "ok": False, "in words": f"{error.message}. {error.next_step}"}]
        return [{"what": line.what, "ok": line.ok, "in words": line.words} for line in lines]

    # --- permission ---

    async def do_request_list(self, actor: str) -> list[Row]:
        """Newest first."""
        async with self._parts.store.look_at_everyone() as scope:
            query = select(requests, engineers.c.name).join(engineers, engineers.c.id == requests.c.engineer_id)
            rows = (await scope.execute(query.order_by(requests.c.submitted_ms.desc()).limit(200))).all()
        return [self._request_row(row) for row in rows]

    @staticmethod
    def _request_row(row: Any) -> Row:
        request = request_of(row)
        return {
            "id": request.id, "engineer": row.name, "operations": " ".join(sorted(request.operations)),
            "until": _when(request.until_ms), "ticket": request.ticket, "reason": request.reason,
            "state": request.state.value,
        }  # fmt: skip

    async def do_request_record_consent(
        self, actor: str, request: str, by: str, recorded_by: str, at_ms: int | None, words: str
    ) -> Row:
        """Enter a yes given by telephone."""
        async with self._parts.store.look_at_everyone() as scope:
            row = (await scope.execute(select(requests).where(requests.c.id == request))).first()
            if row is None:
                raise NotFoundError("there is no such request", next_step="`frameroom request list` shows them.")
            named = (approvers.c.name == by) | (approvers.c.email == by) | (approvers.c.id == by)
            mine = approvers.c.customer_id == row.customer_id
            approver = (await scope.execute(select(approvers.c.id).where(named, mine))).scalar_one_or_none()
        if approver is None:
            raise NotFoundError(f"{by} is no approver of this customer", next_step="`frameroom approver list`.")
        at = self._parts.permission.now if at_ms is None else at_ms
        grant = await self._parts.permission.record_consent(
            actor, recorded_by, row.customer_id, request, approver, at, words
        )
        return {"grant": grant.id, "how": grant.how, "until": _when(grant.until_ms)}

    async def do_grant_list(self, actor: str) -> list[Row]:
        """Newest first."""
        async with self._parts.store.look_at_everyone() as scope:
            query = select(grants, engineers.c.name, systems.c.name.label("system")).join(
                engineers, engineers.c.id == grants.c.engineer_id
            )
            query = query.join(systems, systems.c.id == grants.c.system_id).order_by(grants.c.from_ms.desc())
            rows = (await scope.execute(query.limit(200))).all()
        return [
            {
                "id": g.id, "engineer": row.name, "system": row.system, "operations": " ".join(sorted(g.operations)),
                "until": _when(g.until_ms), "state": g.state.value, "how": g.how,
            }
            for row in rows
            for g in [grant_of(row)]
        ]  # fmt: skip

    async def do_grant_revoke(self, actor: str, grant: str, reason: str) -> Row:
        """End it now."""
        async with self._parts.store.look_at_everyone() as scope:
            customer = (
                await scope.execute(select(grants.c.customer_id).where(grants.c.id == grant))
            ).scalar_one_or_none()
        if customer is None:
            raise NotFoundError("there is no such permission", next_step="`frameroom grant list` shows them.")
        in_flight = await self._parts.permission.revoke(actor, customer, grant, reason, "by staff")
        if self._app is not None:
            self._app.visits.look_now()
        return {"grant": grant, "state": "revoked", "operations that had begun": in_flight}

    async def do_explain(self, actor: str, engineer: str, system: str, operation: str, at_ms: int | None) -> Row:
        """What policy says, and why."""
        async with self._parts.store.operator_log() as scope:
            found = await self._parts.engineers.by_login(scope, engineer)
        decision = await self._parts.permission.explain(
            found.id, await self._system(system), Operation(operation), at_ms
        )
        return {"permitted": decision.allowed, "why": decision.words, "asked": list(decision.steps)}

    # --- visits and recordings ---

    async def do_session_list(self, actor: str) -> list[Row]:
        """Newest first."""
        async with self._parts.store.look_at_everyone() as scope:
            query = select(sessions, engineers.c.name, systems.c.name.label("system")).join(
                engineers, engineers.c.id == sessions.c.engineer_id
            )
            query = query.join(systems, systems.c.id == sessions.c.system_id).order_by(sessions.c.opened_ms.desc())
            rows = (await scope.execute(query.limit(200))).all()
        return [
            {
                "id": r.id, "engineer": r.name, "system": r.system, "opened": _when(r.opened_ms),
                "closed": _when(r.closed_ms), "state": r.state, "segments": r.segments,
            }
            for r in rows
        ]  # fmt: skip

    async def do_session_kill(self, actor: str, session: str, reason: str) -> Row:
        """End one now."""
        for visit in self._app.visits.all() if self._app else ():
            if visit.id == session:
                self._app.visits.end(visit, reason) if self._app else None
                return {"session": session, "state": "ended"}
        raise NotFoundError("no such visit is open", next_step="`frameroom session list` shows them.")

    async def _player(self, actor: str, session: str, why: str) -> Player:
        async with self._parts.store.look_at_everyone() as scope:
            query = select(sessions.c.customer_id).where(sessions.c.id == session)
            customer = (await scope.execute(query)).scalar_one_or_none()
        if customer is None:
            raise NotFoundError("there is no such visit", next_step="`frameroom session list` shows them.")
        async with self._parts.store.scope(customer) as scope:
            event = Event("looked.recording", customer, actor, session=session, data={"who": actor, "why": why})
            await self._parts.audit.append(scope.connection, event)
        return Player(self._parts.objects, self._parts.keys, customer, session)

    async def do_recording_play(self, actor: str, session: str, why: str, find: str | None) -> list[Row]:
        """What the terminal showed, or the lines that hold some words; the look is logged first."""
        player = await self._player(actor, session, why)
        pieces = player.search(find) if find else player.text()
        return [{"at": offset / 1_000_000, "text": text} for offset, text in pieces]

    async def do_recording_export(self, actor: str, session: str, why: str) -> Row:
        """asciicast v2."""
        player = await self._player(actor, session, why)
        return {"asciicast": "\n".join(player.asciicast(session)) + "\n"}

    # --- the log ---

    async def do_audit_tail(self, actor: str, customer: str | None, count: int, why: str) -> list[Row]:
        """The last entries of one log; the look is logged."""
        log = OPERATOR_LOG if customer is None else await self._parts.directory.customer_id(customer)
        async with self._parts.store.scope(log) as scope:
            event = Event("looked.audit", log, actor, data={"who": actor, "why": why})
            await self._parts.audit.append(scope.connection, event)
            last = (await scope.execute(select(func.max(entries.c.seq)).where(entries.c.log_id == log))).scalar() or 0
            query = select(entries.c.seq).where(entries.c.log_id == log, entries.c.seq <= last)
            newest = list((await scope.execute(query.order_by(entries.c.seq.desc()).limit(count))).scalars())
            rows = await self._parts.audit.read(
                scope.connection, log, after_seq=min(newest, default=1) - 1, limit=count
            )
            shown = []
            for row in rows:
                personal = await self._parts.audit.personal(scope.connection, row)
                told = row.body.get("data", {}) | personal
                shown.append(
                    {
                        "index": row.index, "time": _when(row.body["time"]), "kind": row.body["kind"],
                        "actor": row.body["actor"], "told": "; ".join(f"{k}={v}" for k, v in told.items()),
                    }
                )  # fmt: skip
        return shown

    async def do_audit_verify(self, actor: str) -> Row:
        """Recompute everything."""
        await self._parts.sequence()
        # Before the view of the database begins: a checkpoint published meanwhile would look like a cut tail.
        published = await asyncio.to_thread(published_notes, self._parts.objects)
        async with self._parts.store.look_at_everyone() as scope:
            open_ids = set((await scope.execute(select(sessions.c.id).where(sessions.c.state == "open"))).scalars())
            open_ids |= set((await scope.execute(select(requests.c.id).where(requests.c.state == "waiting"))).scalars())
            busy = select(operations.c.id).where(operations.c.state == "intended")
            open_ids |= set((await scope.execute(busy)).scalars())
            report = await verify_database(
                scope.connection, self._parts.audit, self._parts.objects, self._parts.signer.vkey,
                self._parts.settings.deployment.name, open_ids=frozenset(open_ids), published=published,
            )  # fmt: skip
        return {
            "ok": report.ok, "logs": report.logs, "entries": report.entries, "checkpoints": report.checkpoints,
            "segments": report.segments, "vkey": self._parts.signer.vkey,
            "faults": [str(f) for f in report.faults[:20]],
        }  # fmt: skip

"""`frameroom system …`."""

from __future__ import annotations

from typing import Any

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pydantic import ValidationError
from sqlalchemy import select

from connectors.contract import NO_CONNECTOR, CheckLine, Credential
from connectors.errors import ConnectorError
from connectors.registry import families, weakens
from connectors.transport.identity import plain
from gateway.access import notes
from gateway.access.dials import Dials
from gateway.access.reconciling import watching
from gateway.errors import InvalidError, StateError
from gateway.model import PhoneSystem
from gateway.store.tables import customers, grants, requests, sessions, sites, systems
from gateway.wiring.admin.base import Row, invalid, when, with_names
from gateway.wiring.admin.ends import EndingCommands
from gateway.wiring.admin.logins import login_line, login_words
from gateway.wiring.admin.trying import check_credential, not_as_it_should_be, tried
from gateway.wiring.admin.walking import Walk
from gateway.wiring.login_watch import LoginWatch

_NO_PIN = "Read it with `ssh-keyscan -t ed25519 HOST`, compare it with the customer's own, and give the line or a file."
_LONGEST_NOTE = 2000


def pin_of(text: str) -> str:
    """A host key line ("ssh-ed25519 AAAA…", a host name in front taken off), a PEM certificate, its fingerprint
    ("sha256:…"), or "system-cas". InvalidError."""
    pin = text.strip()
    if (kept := plain(pin)) is not None:
        return kept
    try:
        if "BEGIN CERTIFICATE" in pin:
            x509.load_pem_x509_certificate(pin.encode())
            return pin
        lines = [line for line in pin.splitlines() if line.strip() and not line.startswith("#")]
        if len(lines) != 1:
            raise InvalidError("a pin is one host key line, one PEM certificate, or its fingerprint", next_step=_NO_PIN)
        words = lines[0].split()
        words = words if words[0].startswith(("ssh-", "ecdsa-", "sk-")) else words[1:]
        asyncssh.import_public_key(" ".join(words[:2]))
    except (ValueError, asyncssh.KeyImportError) as error:
        raise InvalidError("the pin is neither a host key line nor a PEM certificate", next_step=_NO_PIN) from error
    return " ".join(words[:2])


def _check_nothing_given(**given: Any) -> None:
    """InvalidError for what a phone system without a connector has no use for: it would seem to be kept or used."""
    if named := [name for name, value in given.items() if value]:
        raise InvalidError(
            f"a phone system without a connector takes no {named[0]}: nothing is ever reached",
            next_step="Give its name and site alone, or another --connector.",
        )


class SystemCommands(EndingCommands):
    """Phone systems: reaching, checking, leaving."""

    async def do_system_add(
        self, actor: str, customer: str, login: str | None, password: str | None, private_key: str | None,
        untried: bool = False, **values: Any,
    ) -> Row:  # fmt: skip
        """Add one that was tried, unless `untried`; the settings are checked against the connector's own."""
        family = families().get(values["connector"])
        if family is None:
            raise InvalidError(
                f"there is no connector {values['connector']}", next_step=f"There are: {', '.join(families())}."
            )
        given = {"host": values.get("host"), "pin": values.get("pin"), "login": login}
        if family.name == NO_CONNECTOR:
            _check_nothing_given(**given, port=values["port"], credential=password or private_key)
        elif missing := [name for name, value in given.items() if value is None]:
            raise InvalidError(f"it has no {missing[0]}", next_step=f"Give --{missing[0]}.")
        else:
            check_credential(family, {"key": private_key, "password": password})
        values |= {"host": given["host"] or "", "pin": given["pin"] or ""}
        if not values["name"].strip():
            raise InvalidError("a phone system has a name")
        try:
            family.settings_model.model_validate_json(values["settings"])
        except ValidationError as error:
            raise invalid(error, family.settings_model, "the settings", {}) from error
        # Without a pin nothing is ever sent, but for what a connector reaches on this machine alone.
        values["pin"] = pin_of(values["pin"]) if values["pin"].strip() else ""
        values["port"] = values["port"] or family.default_port
        customer_id = await self._customer(customer)
        secrecy = [f"{k.value}:{s.value}" for k, s in family.capabilities().secrecy.items()]
        credential, dial = None, None
        lines: list[CheckLine] = []
        if family.name != NO_CONNECTOR:
            credential = Credential(login or "", password, private_key)
            if not untried:
                dials = Dials(self._parts.store, self._parts.audit.clock)
                lines, dial = await tried(family, customer_id, values, credential, dials)
        system = await self._parts.directory.add_system(actor, customer_id, values, credential, secrecy, dial)
        told: Row = {"id": system, "name": values["name"], "secrets": secrecy}
        if credential is not None:
            told["tried"] = "no" if untried else "yes"
        told |= not_as_it_should_be(lines)
        if family.name == NO_CONNECTOR:
            told["what can be permitted"] = "visits, which are not recorded here"
        return told

    async def do_system_list(self, actor: str, customer: str | None = None, removed: bool = False) -> list[Row]:
        """Those in service, or with `removed` all that there ever were."""
        here = (sites.c.customer_id == systems.c.customer_id) & (sites.c.id == systems.c.site_id)
        query = (
            select(systems, customers.c.name.label("customer"), sites.c.name.label("site"), sites.c.town)
            .join(customers, customers.c.id == systems.c.customer_id)
            .join(sites, here, isouter=True)
            .order_by(customers.c.name, systems.c.name, systems.c.id)
        )
        if customer is not None:
            query = query.where(systems.c.customer_id == await self._customer(customer))
        if not removed:
            query = query.where(systems.c.removed_ms.is_(None))
        async with self._parts.store.look_at_everyone() as scope:
            rows = (await scope.execute(query)).all()
        weaker = [weakens(r.connector, r.settings) for r in rows]
        return [
            {
                "id": r.id, "customer": r.customer, "name": r.name, "site": r.site or "", "town": r.town or "",
                "connector": r.connector, "host": r.host, "port": r.port,
            } | ({"removed": when(r.removed_ms)} if removed else {}) | ({"WEAKENED": words} if any(weaker) else {})
            for r, words in zip(rows, weaker, strict=True)
        ]  # fmt: skip

    async def do_system_show(self, actor: str, system: str, customer: str | None = None) -> Row:
        """One: how it is reached, how its secrets are kept and proven, permissions, notes, last visits."""
        found = await self._system(system, customer)
        may = with_names(grants).where(grants.c.system_id == found.id, grants.c.state == "open")
        was = with_names(sessions).where(sessions.c.system_id == found.id)
        async with self._parts.store.look(found.customer_id) as scope:
            owner = await scope.execute(select(customers.c.name).where(customers.c.id == found.customer_id))
            permissions = (await scope.execute(may.order_by(grants.c.until_ms))).all()
            visits = (await scope.execute(was.order_by(sessions.c.opened_ms.desc()).limit(5))).all()
            told: Row = {
                "id": found.id, "customer": owner.scalar_one(), "name": found.name, "host": found.host,
                "port": found.port, "pin": _pin_words(found.pin), "asset": found.asset, "numbers": found.ddi_range,
                "in service": not found.removed, "credential": "sealed" if found.sealed_credential else "none",
            }  # fmt: skip
            told |= _secrecy(found) | {"login record": login_words(found, await watching(scope, found))}
        return told | {
            "permissions": [
                {
                    "id": g.id, "engineer": g.engineer, "operations": g.operations.split(), "until": when(g.until_ms),
                    "how": g.how,
                }
                for g in permissions
            ],
            "notes": [
                {"at": when(note.at_ms), "by": note.author, "text": note.text}
                for note in await notes.read(self._parts.store, found.customer_id, found.id, 5)
            ],
            "last visits": [
                {"id": v.id, "engineer": v.engineer, "opened": when(v.opened_ms), "state": v.state} for v in visits
            ],
        }  # fmt: skip

    async def do_system_check(self, actor: str, system: str, customer: str | None = None) -> list[Row]:
        """Reach, identity, credential, what it could read."""
        found = await self._system(system, customer)
        family = families().get(found.connector)
        if family is None:
            raise InvalidError(f"its connector {found.connector} is not installed here")
        if found.removed:
            raise StateError("it is out of service", next_step="Its credential was destroyed when it was removed.")
        if family.name == NO_CONNECTOR:
            words = "Frameroom does not reach this phone system, and has no credential of it"
            alone = "what the agreement and a permission may name is `visit`, which is not recorded here"
            return [
                {"what": "reach", "ok": True, "in words": words}, {"what": "visits only", "ok": True, "in words": alone}
            ]  # fmt: skip
        if not found.sealed_credential:
            raise StateError("it has no credential yet", next_step="`frameroom system credential` seals one.")
        watch, walk = LoginWatch(self._parts), Walk()
        try:
            connector = await watch.connect(found, "check", walk.unsealing(watch.kept(found)))
            walk.came_in()
            try:
                lines = list(await connector.check())
                # What this very connection can promise may be less than its family does.
                told = getattr(connector, "capabilities", family.capabilities)()
                kept = ", ".join(f"{kind.value} {secrecy.value}" for kind, secrecy in told.secrecy.items())
                lines.append(CheckLine("how secrets are kept", True, f"{kept}{': ' if kept else ''}{told.secrecy_why}"))
                lines.append(await login_line(watch, found, connector))
            finally:
                await connector.close()
        except ConnectorError as error:
            return walk.ended(error)
        return [{"what": line.what, "ok": line.ok, "in words": line.words} for line in lines]

    async def do_system_remove(self, actor: str, system: str, customer: str | None = None) -> Row:
        """Out of service: credential destroyed, permissions and live visits ended. Done again, it finishes the rest."""
        found = await self._system(system, customer)
        removed = await self._parts.directory.remove_system(actor, found.customer_id, found.id)
        ended = 0
        for visit in self._app.visits.all() if self._app is not None else ():
            if self._app is not None and visit.system.id == found.id:
                self._app.visits.end(visit, "the phone system was taken out of service")
                ended += 1
        here = (grants.c.customer_id == found.customer_id) & (grants.c.system_id == found.id)
        waiting = (requests.c.customer_id == found.customer_id) & (requests.c.system_id == found.id)
        # Requests first: one that is answered meanwhile leaves a permission, which is ended next.
        withdrawn = await self._withdraw_requests(actor, waiting)
        permissions = await self._end_permissions(
            actor, here, "the phone system was taken out of service", "with the phone system"
        )
        return {
            "id": found.id, "name": found.name, "state": "removed" if removed else "removed before",
            "credential": "destroyed", "requests withdrawn": withdrawn, "permissions ended": permissions,
            "visits ended": ended,
        }  # fmt: skip

    async def do_system_note(
        self, actor: str, system: str, text: str | None = None, customer: str | None = None
    ) -> list[Row]:
        """Leave a note for whoever comes next, and show the newest."""
        found = await self._system(system, customer)
        if text is not None:
            if not text.strip() or len(text) > _LONGEST_NOTE:
                raise InvalidError(f"a note has from 1 to {_LONGEST_NOTE} characters")
            await notes.write(self._parts.store, self._parts.audit, found, None, actor, text)
        kept = await notes.read(self._parts.store, found.customer_id, found.id, 20)
        return [{"at": when(note.at_ms), "by": note.author, "text": note.text} for note in kept]


def _pin_words(pin: str) -> str:
    """A pin on one line: of a certificate its fingerprint, as a browser and openssl tell it."""
    if "BEGIN CERTIFICATE" not in pin:
        return pin
    shown = x509.load_pem_x509_certificate(pin.encode()).fingerprint(hashes.SHA256())
    return f"certificate, sha256:{shown.hex(':').upper()}"


def _secrecy(system: PhoneSystem) -> Row:
    """What the connector honestly says of how it keeps secrets, and what that was proven against."""
    family = families().get(system.connector)
    if family is None:
        return {"connector": system.connector, "secrets": "its connector is not installed here"}
    can = family.capabilities()
    weaker = weakens(system.connector, system.settings_json)
    return {
        "connector": f"{system.connector} ({can.title})",
        "secrets": [f"{kind.value}: {secrecy.value}" for kind, secrecy in can.secrecy.items()],
        "secrets, why": can.secrecy_why, "proven": [proof.value for proof in can.proven],
        "proven how": can.proven_how, "cannot": [f"{what}: {why}" for what, why in can.cannot.items()],
        **({"WEAKENED": weaker} if weaker else {}),
    }  # fmt: skip

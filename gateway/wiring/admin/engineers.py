"""`frameroom engineer …`."""

from __future__ import annotations

from sqlalchemy import select

from audit.events import OPERATOR_LOG
from gateway.identity.engineers import parse_public_key
from gateway.model import Engineer
from gateway.store.tables import customers, grants, roster, sessions
from gateway.wiring.admin.base import Base, Row, when, with_names


def _about(engineer: Engineer) -> Row:
    return {
        "login": engineer.login, "name": engineer.name, "email": engineer.email, "enabled": engineer.enabled,
        "roles": sorted(engineer.roles),
    }  # fmt: skip


class EngineerCommands(Base):
    """Engineers, their keys, second factors and roles."""

    async def do_engineer_add(self, actor: str, login: str, name: str, email: str, roles: list[str]) -> Row:
        """Add one."""
        engineer = await self._parts.engineers.add(actor, login, name, email, frozenset(roles))
        return {"id": engineer.id, "login": login}

    async def do_engineer_list(self, actor: str) -> list[Row]:
        """All, by login."""
        return [_about(engineer) for engineer in await self._parts.engineers.all()]

    async def do_engineer_show(self, actor: str, login: str) -> Row:
        """One: how they sign in, where they are named, what they may do now, where they were last."""
        engineer, held = await self._engineer(login), await self._parts.engineers.held(login)
        now = self._parts.audit.clock.now()
        named = select(customers.c.name).join(roster, roster.c.customer_id == customers.c.id)
        mine = (roster.c.engineer_id == engineer.id) & ~roster.c.vetoed
        may = with_names(grants).where(grants.c.engineer_id == engineer.id, grants.c.state == "open")
        was = with_names(sessions).where(sessions.c.engineer_id == engineer.id)
        async with self._parts.store.look_at_everyone() as scope:
            lists = list((await scope.execute(named.where(mine).order_by(customers.c.name))).scalars())
            permissions = (await scope.execute(may.order_by(grants.c.until_ms))).all()
            visits = (await scope.execute(was.order_by(sessions.c.opened_ms.desc()).limit(5))).all()
        return _about(engineer) | {
            "id": engineer.id, "one-time codes": "enrolled" if held.totp else "not enrolled",
            "backup codes left": held.codes_left,
            "locked until": when(held.locked_until_ms) if held.locked_until_ms > now else "",
            "named by": lists,
            "keys": [{"fingerprint": f, "kind": kind, "added": when(at)} for f, kind, at in held.keys],
            "permissions": [
                {"id": g.id, "customer": g.customer, "system": g.system, "until": when(g.until_ms), "how": g.how}
                for g in permissions
            ],
            "last visits": [
                {"id": v.id, "customer": v.customer, "system": v.system, "opened": when(v.opened_ms), "state": v.state}
                for v in visits
            ],
        }  # fmt: skip

    async def do_engineer_key_add(self, actor: str, login: str, key: str) -> Row:
        """Give one a public key."""
        return {"login": login, "fingerprint": await self._parts.engineers.add_key(actor, login, key)}

    async def do_engineer_key_list(self, actor: str, login: str) -> list[Row]:
        """The keys of one."""
        held = await self._parts.engineers.held(login)
        return [{"fingerprint": f, "kind": kind, "added": when(at)} for f, kind, at in held.keys]

    async def do_engineer_key_remove(self, actor: str, login: str, key: str) -> Row:
        """Take a key away, by its fingerprint or itself; connections signed in with it are hung up here at once."""
        fingerprint = key if key.startswith("SHA256:") else parse_public_key(key)[0]
        await self._parts.engineers.remove_key(actor, login, fingerprint)
        ended = 0
        for owner in tuple(self._app.door.connections.values()) if self._app is not None else ():
            who = owner.identity
            if who is not None and (who.login, who.fingerprint) == (login, fingerprint):
                owner.end("The key that you signed in with was taken away.")
                ended += 1
        return {"login": login, "fingerprint": fingerprint, "connections ended": ended}

    async def do_engineer_totp(self, actor: str, login: str) -> Row:
        """Enrol: the secret is shown this once."""
        secret = await self._parts.engineers.enrol_totp(actor, login)
        issuer = self._parts.settings.deployment.name
        uri = f"otpauth://totp/{issuer}:{login}?secret={secret}&issuer={issuer}"
        return {"login": login, "secret": secret, "uri": uri}

    async def do_engineer_codes(self, actor: str, login: str) -> Row:
        """Backup codes, shown this once."""
        return {"login": login, "codes": await self._parts.engineers.issue_codes(actor, login)}

    async def do_engineer_role_add(self, actor: str, login: str, role: str) -> Row:
        """Give a role."""
        return {"login": login, "roles": sorted(await self._parts.engineers.set_role(actor, login, role, True))}

    async def do_engineer_role_remove(self, actor: str, login: str, role: str) -> Row:
        """Take a role."""
        return {"login": login, "roles": sorted(await self._parts.engineers.set_role(actor, login, role, False))}

    async def do_engineer_enable(self, actor: str, login: str, enabled: bool) -> Row:
        """On or off; off ends the engineer's visits, here at once and on every node within a second."""
        await self._parts.engineers.set_enabled(actor, login, enabled)
        async with self._parts.store.look(OPERATOR_LOG) as scope:
            engineer = await self._parts.engineers.by_login(scope, login)
        ended = 0
        if self._app is not None and not enabled:
            for visit in self._app.visits.all():
                if visit.identity.engineer_id == engineer.id:
                    self._app.visits.end(visit, "the engineer's account was switched off")
                    ended += 1
            self._app.door.end_engineer(engineer.id, "Your access was switched off.")
        return {"login": login, "enabled": enabled, "visits ended": ended}

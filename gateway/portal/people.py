"""The customer's own approvers: who they are, naming and inviting one, a lost telephone, one who leaves."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select
from starlette.responses import Response

from gateway import notify
from gateway.access.asking import Asking
from gateway.access.directory import Directory
from gateway.access.proposals import RECOVER, pending
from gateway.access.recovering import Recovering
from gateway.errors import NotPermittedError
from gateway.identity.passkeys import Passkeys
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers


class People:
    """The pages of who may say yes."""

    def __init__(
        self, store: Store, directory: Directory, passkeys: Passkeys, recovering: Recovering, asking: Asking
    ) -> None:
        self._store, self._directory, self._passkeys = store, directory, passkeys
        self._recovering, self._asking = recovering, asking

    def pages(self) -> list[Page]:
        """All of them."""
        one = "/people/{approver}"
        return [
            Page("GET", "/people", Who.SIGNED_IN, self.show),
            Page("POST", "/people", Who.APPROVER, self.add),
            Page("POST", one + "/invite", Who.APPROVER, self.invite),
            Page("POST", one + "/lost", Who.APPROVER, self.lost),
            Page("POST", one + "/remove", Who.APPROVER, self.remove),
            Page("POST", "/recoveries/{proposal}/stop", Who.APPROVER, self.stop),
        ]

    async def show(self, asked: Asked) -> Response:
        """The approvers and the fingerprints of their keys; a recovery that is on its way."""
        here = (approvers.c.customer_id == asked.customer_id) & approvers.c.removed_ms.is_(None)
        async with self._store.look(asked.customer_id) as scope:
            found = (await scope.execute(select(approvers).where(here).order_by(approvers.c.name))).all()
            keys = await self._passkeys.held(scope)
            recovery, how = await _recovery(scope), await self._asking.words(scope)
        rows = [
            {
                "id": r.id, "name": notify.plain(r.name), "email": r.email, "me": r.id == asked.who.approver_id,
                "keys": [key.fingerprint for key in keys if key.approver_id == r.id], "asked": how[r.id],
            }
            for r in found
        ]  # fmt: skip
        return asked.show("people.html", rows=rows, recovery=recovery)

    async def add(self, asked: Asked) -> Response:
        """Name one more, and invite them."""
        me = asked.who
        name, email, phone = (str(asked.sent.get(part, "")).strip() for part in ("name", "email", "phone"))
        made = await self._directory.add_approver(me.approver_id, me.customer_id, name, email, phone, me.approver_id)
        await self._passkeys.invite(me.approver_id, me.customer_id, made, me.approver_id)
        return asked.go("/people")

    async def invite(self, asked: Asked) -> Response:
        """Invite another approver, or oneself on another device."""
        me = asked.who
        await self._passkeys.invite(me.approver_id, me.customer_id, asked.path("approver"), me.approver_id)
        return asked.go("/people")

    async def lost(self, asked: Asked) -> Response:
        """Another approver's telephone is lost: their keys end, and they are invited again."""
        me, lost = asked.who, self._another(asked, "Your own key is ended by another approver.")
        await self._passkeys.remove(me.approver_id, me.customer_id, lost)
        await self._passkeys.invite(me.approver_id, me.customer_id, lost, me.approver_id)
        return asked.go("/people")

    async def remove(self, asked: Asked) -> Response:
        """Another one's yes counts for nothing any more."""
        me, whom = asked.who, self._another(asked, "You cannot remove yourself.")
        await self._directory.remove_approver(me.approver_id, me.customer_id, whom)
        return asked.go("/people")

    @staticmethod
    def _another(asked: Asked, why_not: str) -> str:
        whom = asked.path("approver")
        if whom == asked.who.approver_id:
            raise NotPermittedError(why_not, next_step="Ask one of the others.")
        return whom

    async def stop(self, asked: Asked) -> Response:
        """Whoever still has a key ends a recovery."""
        me = asked.who
        await self._recovering.stop(me.approver_id, asked.path("proposal"), me.customer_id)
        return asked.go("/people")


async def _recovery(scope: Scope) -> dict[str, Any] | None:
    row = await pending(scope, RECOVER)
    if row is None:
        return None
    who = json.loads(row.plan)
    due = notify.when(row.due_ms, await notify.zone_of(scope))
    return {"id": row.id, "name": notify.plain(who["name"]), "email": who["email"], "due": due}

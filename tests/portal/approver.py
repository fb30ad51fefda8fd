"""An approver who is signed in with their own key, and does what the pages do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from gateway.model import Request
from tests.portal.conftest import Site
from tests.support.browser_passkey import SoftwarePasskey


@dataclass
class Approver:
    """One who is signed in with their own key."""

    site: Site
    id: str
    key: SoftwarePasskey
    cookie: str

    async def csrf(self) -> str:
        me = await self.site.sign_ins.who(self.cookie)
        assert me is not None
        return me.csrf

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return await self.site.ask("POST", path, self.cookie, json=body, headers={"X-CSRF-Token": await self.csrf()})

    async def wanted(self, request: Request, **less: Any) -> dict[str, Any]:
        return {"operations": sorted(request.operations), "until": request.until_ms} | less

    async def yes(self, request: Request, key: SoftwarePasskey | None = None, **less: Any) -> httpx.Response:
        """Tick, sign, send: as the page does."""
        return await self.sign(f"/requests/{request.id}", key, **await self.wanted(request, **less))

    async def sign(self, path: str, key: SoftwarePasskey | None = None, **fields: Any) -> httpx.Response:
        """What the page's script does with a form: have it signed, and send it with the answer."""
        options = await self.post(f"{path}/options", fields)
        if options.status_code != 200:
            return options
        told = options.json()
        answer = (key or self.key).get(told["challenge"])
        return await self.post(f"{path}/yes", fields | told.get("keep", {}) | {"answer": answer})

    async def no(self, request: Request, reason: str = "Not today") -> httpx.Response:
        return await self.send(f"/requests/{request.id}/no", reason=reason)

    async def send(self, path: str, **form: str) -> httpx.Response:
        """A form of a page."""
        return await self.site.ask("POST", path, self.cookie, data={"csrf": await self.csrf()} | form)

    async def page(self, path: str) -> str:
        return (await self.site.ask("GET", path, self.cookie)).text


async def approver(site: Site, name: str = "Kate", by: str = "operator") -> Approver:
    email = f"{name.lower()}@customer.example"
    approver_id = await site.brook.approver(name, email, by)
    key, _ = await site.enrol(await site.link(approver_id, by))
    return Approver(site, approver_id, key, await site.cookie(key))

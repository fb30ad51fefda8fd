"""The portal over ASGI, on a database of each kind, with two customers and a passkey in software."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.storage import LocalObjects
from connectors.contract import Person
from gateway.access.addresses import Addresses
from gateway.access.agreeing import Agreeing
from gateway.access.approving import Approving
from gateway.access.asking import Asking
from gateway.access.channels import Channels
from gateway.access.console import ConsoleLists
from gateway.access.handing import Handing
from gateway.access.jobs import Jobs
from gateway.access.outside import OutsideVisits
from gateway.access.proposals import Proposals
from gateway.access.reading import Readings
from gateway.access.recovering import Recovering
from gateway.access.switch import Switch
from gateway.identity.codes import Codes
from gateway.identity.oidc import AccountSignIn
from gateway.identity.oidc_wire import Wire
from gateway.identity.passkeys import Passkeys
from gateway.identity.providers import Providers
from gateway.identity.sign_ins import SignIns
from gateway.model import PhoneSystem
from gateway.notify import Carrier, Ways
from gateway.portal.access import AccessPages
from gateway.portal.addresses import AddressPages
from gateway.portal.agreement import AgreementPages
from gateway.portal.console import ConsolePages
from gateway.portal.contacts import ContactPages
from gateway.portal.entrance import Entrance
from gateway.portal.guesses import Guesses
from gateway.portal.handing import HandOvers
from gateway.portal.jobs import JobPages
from gateway.portal.months import MonthPages
from gateway.portal.notices import NoticesPages
from gateway.portal.once import OneTimePages
from gateway.portal.outside import OutsidePages
from gateway.portal.own_ways import OwnWays
from gateway.portal.people import People
from gateway.portal.playing import TerminalPages
from gateway.portal.reading import ReadingPages
from gateway.portal.requests import Requests
from gateway.portal.site import COOKIE, Portal
from gateway.portal.visits import Live, LiveVisits, VisitPages
from gateway.store.engine import Store
from tests.support.browser_passkey import SoftwarePasskey
from tests.support.furnished import Furnished, furnish

SITE = "https://portal.example"


class Phones:
    """A phone system's people, as the portal reads them; tests/end_to_end read a real one."""

    def __init__(self) -> None:
        self.people: list[Person] = []

    async def pages(self, system: PhoneSystem) -> AsyncIterator[tuple[Person, ...]]:
        """Three at a time."""
        for start in range(0, len(self.people), 3):
            yield tuple(self.people[start : start + 3])


@dataclass(slots=True)
class Site:
    """The pages, and what stands behind them."""

    brook: Furnished
    passkeys: Passkeys
    sign_ins: SignIns
    recovering: Recovering
    portal: Portal
    client: httpx.AsyncClient
    live: dict[str, Live]
    objects: LocalObjects
    phones: Phones
    readings: Readings
    providers: Providers
    codes: Codes

    async def ask(self, method: str, path: str, cookie: str = "", **rest: Any) -> httpx.Response:
        """One request of a browser: with Origin, and with the cookie."""
        headers = {"Origin": SITE, "Cookie": f"{COOKIE}={cookie}"} | rest.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **rest)

    async def link(self, approver: str, by: str = "operator", customer: str | None = None) -> str:
        """An invitation's path, out of its mail."""
        self.brook.clock.at_ms += 1000  # so that the outbox tells which mail is the newer one
        await self.passkeys.invite("t", customer or self.brook.customer, approver, by)
        bodies = [row.body for row in await self.brook.waiting() if row.what == "invitation"]
        return re.findall(rf"{SITE}(/invitation/\S+)", bodies[-1])[0]

    async def enrol(self, link: str) -> tuple[SoftwarePasskey, str]:
        """The passkey that an invitation was used for, and its fingerprint."""
        key = SoftwarePasskey(SITE)
        options = (await self.ask("POST", link + "/options", json={})).json()
        made = await self.ask("POST", link, json={"answer": key.create(options)})
        assert made.status_code == 200, made.text
        return key, made.json()["fingerprint"]

    async def sign_in(self, key: SoftwarePasskey) -> httpx.Response:
        """Sign in."""
        challenge = (await self.ask("POST", "/sign-in/options", json={})).json()["challenge"]
        sent = {"answer": key.get(challenge), "challenge": challenge}
        return await self.ask("POST", "/sign-in", json=sent)

    async def cookie(self, key: SoftwarePasskey) -> str:
        """The cookie that signing in gave."""
        response = await self.sign_in(key)
        assert response.status_code == 200, response.text
        return str(response.cookies[COOKIE])

    async def reader(self, approver: str, factor: str = "code") -> str:
        """The cookie of a sign-in by something less than a passkey."""
        async with self.brook.store.scope(self.brook.customer) as scope:
            return await self.sign_ins.begin(scope, approver, factor, f"{factor} {approver}", "d", "a")


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> Site:
    brook = await furnish(store, tmp_path)
    await brook.agree()
    passkeys = Passkeys(store, brook.audit, lambda: SITE, 72)
    sign_ins = SignIns(store, brook.audit, brook.vault, passkeys, 12)
    once = OneTimePages(store, brook.audit, "Ring us.", lambda: SITE)
    recovering = Recovering(store, brook.directory, Proposals(store, brook.audit), passkeys)
    approving = Approving(store, brook.audit, brook.permission, passkeys)
    agreeing = Agreeing(store, brook.audit, brook.directory, brook.permission, passkeys)
    contacts, ways = brook.directory.contacts, Carrier(Ways(("json",), ("127.0.0.0/8",)))
    channels = Channels(store, brook.audit, brook.vault, ways)
    wire = Wire()
    providers = Providers(store, brook.audit, brook.vault, wire, lambda: SITE)
    accounts = AccountSignIn(store, brook.audit, brook.vault, providers, wire, sign_ins)
    codes = Codes(store, brook.audit, brook.vault, sign_ins, lambda: SITE)
    phones = Phones()
    reading = Readings(store, brook.audit, brook.vault, phones)
    addresses = Addresses(store, brook.audit, brook.permission, passkeys, reading)
    live: dict[str, Live] = {}
    outside = OutsideVisits(store, brook.audit, brook.permission)
    visits, objects = LiveVisits(live.get, lambda: None), LocalObjects(tmp_path / "objects")
    pages = [
        *Entrance(store, brook.audit, passkeys, sign_ins, "Ring us.").pages(),
        *ReadingPages(providers, accounts, codes, Guesses(brook.audit.clock.now), "Ring us.").pages(),
        *OwnWays(store, providers, codes).pages(),
        *People(store, brook.directory, passkeys, recovering, Asking(store, brook.audit)).pages(),
        *HandOvers(store, Handing(store, brook.audit, passkeys), passkeys, "Ring us.").pages(),
        *AddressPages(store, addresses, passkeys, "Ring us.").pages(),
        *NoticesPages(store, Asking(store, brook.audit), channels, contacts, True).pages(),
        *ContactPages(store, contacts).pages(),
        *Requests(store, brook.permission, approving, passkeys, "Ring us.").pages(),
        *JobPages(store, Jobs(store, brook.audit, brook.permission, passkeys), passkeys).pages(),
        *AccessPages(store, Switch(store, brook.audit), brook.directory).pages(),
        *AgreementPages(store, agreeing, passkeys, "Ring us.").pages(),
        *ConsolePages(store, ConsoleLists(store, brook.audit, passkeys), passkeys, "Ring us.").pages(),
        *VisitPages(store, brook.audit, brook.permission, visits, "Ring us.").pages(),
        *OutsidePages(store, brook.audit, brook.permission, outside, "Ring us.").pages(),
        *TerminalPages(store, brook.audit, objects, visits, sign_ins.who).pages(),
        *MonthPages(store, brook.audit, lambda log: f"the checkpoint of {log}".encode(), "Ring us.").pages(),
    ]
    portal = Portal(pages, sign_ins, lambda: SITE, once.app())
    client = httpx.AsyncClient(transport=httpx.ASGITransport(portal.app()), base_url=SITE)
    client.cookies.clear()
    return Site(brook, passkeys, sign_ins, recovering, portal, client, live, objects, phones, reading, providers, codes)

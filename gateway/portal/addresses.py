"""The mail addresses of a phone system's people: looked at, and confirmed once; what is new or changed since, apart."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from audit import address_book
from gateway import notify
from gateway.access.addresses import Addresses
from gateway.access.reading import NO_ADDRESS, PAGE, TO_CONFIRM, Line
from gateway.errors import InvalidError, NotFoundError
from gateway.identity.passkeys import Passkeys
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers, systems

_WORDS: Final = {
    "new": "new: not confirmed yet", "changed": "another one than you confirmed", "same": "as you confirmed it",
    "wrong": "you said that it is wrong", NO_ADDRESS: "has no address",
}  # fmt: skip
_LONGEST: Final = 100
_LAST_PAGE: Final = 10_000


class AddressPages:
    """Which phone systems there are, and one of them. `ring` says whom to ring."""

    def __init__(self, store: Store, addresses: Addresses, passkeys: Passkeys, ring: str) -> None:
        self._store, self._addresses, self._passkeys, self._ring = store, addresses, passkeys, ring

    def pages(self) -> list[Page]:
        """All of them."""
        one, row = "/addresses/{system}", "/addresses/rows/{row}"
        return [
            Page("GET", "/addresses", Who.SIGNED_IN, self.all),
            Page("GET", one, Who.SIGNED_IN, self.show),
            Page("POST", one + "/read", Who.APPROVER, self.read),
            Page("POST", one + "/options", Who.APPROVER, self.options),
            Page("POST", one + "/yes", Who.APPROVER, self.confirm),
            Page("POST", row + "/wrong", Who.APPROVER, self.mark),
            Page("POST", row + "/right", Who.APPROVER, self.mark),
        ]

    async def all(self, asked: Asked) -> Response:
        """The customer's phone systems, and what was confirmed of each."""
        async with self._store.look(asked.customer_id) as scope:
            here = (systems.c.customer_id == scope.customer_id) & systems.c.removed_ms.is_(None)
            query = select(systems.c.id, systems.c.name).where(here).order_by(systems.c.name)
            places = (await scope.execute(query)).all()
            said = await self._said(scope)
        rows = [{"id": p.id, "name": notify.plain(p.name), "said": said.get(p.id, "")} for p in places]
        return asked.show("addresses.html", rows=rows, ring=self._ring)

    async def _said(self, scope: Scope) -> dict[str, str]:
        """Of each phone system: who confirmed last, when, and how many."""
        zone = await notify.zone_of(scope)
        mine = approvers.c.customer_id == scope.customer_id
        names = {r.id: r.name for r in await scope.execute(select(approvers.c.id, approvers.c.name).where(mine))}
        said = {}
        for system, told in (await self._addresses.confirmed(scope)).items():
            by, at = notify.plain(names.get(told["approver"], "an approver")), notify.when(told["at_ms"], zone)
            said[system] = f"{by} confirmed {told['right']} addresses as right and {told['wrong']} as wrong on {at}."
        return said

    async def show(self, asked: Asked) -> Response:
        """One phone system's people as they were read; a page of them."""
        system_id, words, number, only_new = asked.path("system"), *_looked_for(asked)
        async with self._store.look(asked.customer_id) as scope:
            system = await self._addresses.readings.system(scope, system_id)
            said, reading = (await self._said(scope)).get(system_id, ""), None
            lines, matching, counts = list[Line](), 0, dict[str, int]()
            row = await self._addresses.readings.current(scope, system_id)
            if row is not None:
                reading = {"id": row.id, "people": row.people, **await self._when(scope, row)}
                counts = await self._addresses.readings.counts(scope, row.id)
                lines, matching = await self._addresses.readings.page(scope, row.id, words, number, only_new=only_new)
        last = max(1, -(-matching // PAGE))
        return asked.show(
            "address_list.html", system={"id": system.id, "name": notify.plain(system.name)}, said=said,
            reading=reading, rows=[_row(line) for line in lines], matching=matching, words=words, only_new=only_new,
            number=number, last=last, before=_query(words, number - 1, only_new) if number > 1 else "",
            after=_query(words, number + 1, only_new) if number < last else "", ring=self._ring,
            here=_query(words, number, only_new), to_confirm=sum(counts.get(found, 0) for found in TO_CONFIRM),
            wrong=counts.get("left out", 0), same=counts.get("same", 0),
        )  # fmt: skip

    @staticmethod
    async def _when(scope: Scope, row: Any) -> dict[str, str]:
        zone = await notify.zone_of(scope)
        return {"at": notify.when(row.at_ms, zone), "until": notify.when(row.until_ms, zone)}

    async def read(self, asked: Asked) -> Response:
        """Have the phone system read, now."""
        me, system_id = asked.who, asked.path("system")
        await self._addresses.readings.read(me.customer_id, me.approver_id, system_id)
        return asked.go(f"/addresses/{system_id}?show=new")

    async def mark(self, asked: Asked) -> Response:
        """One address is wrong, or right after all."""
        wrong = asked.request.url.path.endswith("/wrong")
        system_id = await self._addresses.readings.mark(asked.customer_id, asked.path("row"), wrong=wrong)
        here = asked.sent.get("here")
        return asked.go(f"/addresses/{system_id}{_again(here) if isinstance(here, str) else ''}")

    async def options(self, asked: Asked) -> Response:
        """What the passkey is to sign: the addresses as they are marked now."""
        me, at_ms, system_id = asked.who, self._addresses.now, asked.path("system")
        async with self._store.look(me.customer_id) as scope:
            drawn = await self._addresses.drawn(scope, me.approver_id, system_id, _reading(asked), at_ms)
            digest = address_book.digest(me.customer_id, system_id, drawn.data)
            told = await self._passkeys.signing_options(scope, me.approver_id, digest)
        return JSONResponse(told | {"keep": {"at_ms": at_ms}})

    async def confirm(self, asked: Asked) -> Response:
        """The signature."""
        me, at_ms, system_id = asked.who, asked.sent.get("at_ms"), asked.path("system")
        if type(at_ms) is not int:
            async with self._store.look(me.customer_id) as scope:
                await self._addresses.readings.system(scope, system_id)
            raise InvalidError("that is no answer of a passkey", next_step="Load the page again.")
        answer = asked.sent.get("answer")
        await self._addresses.confirm(me.customer_id, me.approver_id, system_id, _reading(asked), at_ms, answer)
        return JSONResponse({"go": f"/addresses/{system_id}"})


def _reading(asked: Asked) -> str:
    given = asked.sent.get("reading")
    if not isinstance(given, str):
        raise NotFoundError("There is no such list of addresses.", next_step="Load the page again.")
    return given


def _looked_for(asked: Asked) -> tuple[str, int, bool]:
    """Words, page and whether only what is to be confirmed is shown, as the address names them."""
    given = asked.request.query_params
    number = given.get("page", "1")
    valid = number.isascii() and number.isdecimal() and len(number) < 6
    page = min(max(1, int(number)), _LAST_PAGE) if valid else 1
    return given.get("q", "")[:_LONGEST], page, given.get("show") == "new"


def _query(words: str, number: int, only_new: bool) -> str:
    return "?" + urlencode({"q": words, "page": number, "show": "new" if only_new else "all"})


def _again(here: str) -> str:
    """The rest of an address that we wrote into the form; anything else is left out."""
    return here if here.startswith("?q=") and len(here) < 1000 and here.isascii() and here.isprintable() else ""


def _row(line: Line) -> dict[str, Any]:
    return {
        "id": line.id, "name": notify.plain(line.name), "extension": notify.plain(line.extension),
        "email": notify.plain(line.email), "told": _WORDS[line.found], "wrong": line.left_out,
        "marks": line.found in TO_CONFIRM,
    }  # fmt: skip

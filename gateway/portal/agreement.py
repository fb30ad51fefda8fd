"""The agreement in words: signed, and withdrawn, by the customer."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from gateway import notify
from gateway.access.agreeing import Agreeing
from gateway.errors import InvalidError, NotFoundError, StateError
from gateway.identity.passkeys import Passkeys
from gateway.lifecycle import AgreementState
from gateway.model import Hours, Terms
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Store

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class AgreementPages:
    """One page, and the two things that can be done on it."""

    def __init__(self, store: Store, agreeing: Agreeing, passkeys: Passkeys, ring: str) -> None:
        self._store, self._agreeing, self._passkeys, self._ring = store, agreeing, passkeys, ring

    def pages(self) -> list[Page]:
        """All of them."""
        return [
            Page("GET", "/agreement", Who.SIGNED_IN, self.show),
            Page("POST", "/agreement/options", Who.APPROVER, self.options),
            Page("POST", "/agreement/yes", Who.APPROVER, self.sign),
            Page("POST", "/agreement/withdraw", Who.APPROVER, self.withdraw),
        ]

    async def show(self, asked: Asked) -> Response:
        """What it says."""
        async with self._store.look(asked.customer_id) as scope:
            try:
                drawn = await self._agreeing.drawn(scope)
            except NotFoundError:
                return asked.show("agreement.html", agreement=None, ring=self._ring)
        terms = drawn.agreement.terms
        return asked.show(
            "agreement.html", agreement=drawn.agreement, says=_says(terms), needed=drawn.needed,
            given=drawn.given, together=len(drawn.signers) > drawn.given,
            mine=asked.who.approver_id in drawn.signers, digest=drawn.words.digest,
            operations=[(notify.WORDS[o], o in terms.standing) for o in sorted(terms.operations)], ring=self._ring,
        )  # fmt: skip

    async def options(self, asked: Asked) -> Response:
        """What the passkey is to sign."""
        async with self._store.look(asked.customer_id) as scope:
            drawn = await self._agreeing.drawn(scope)
            if drawn.agreement.version != _version(asked) or drawn.agreement.state is not AgreementState.DRAFT:
                raise StateError("This is not the agreement that waits to be signed.", next_step="Load the page again.")
            return JSONResponse(
                await self._passkeys.signing_options(scope, asked.who.approver_id, drawn.words.digest)
            )  # fmt: skip

    async def sign(self, asked: Asked) -> Response:
        """The signature."""
        me = asked.who
        await self._agreeing.sign(me.customer_id, me.approver_id, _version(asked), asked.sent.get("answer"))
        return JSONResponse({"go": "/agreement"})

    async def withdraw(self, asked: Asked) -> Response:
        """Take it back; every permission ends."""
        me = asked.who
        await self._agreeing.withdraw(me.customer_id, me.approver_id, me.name)
        return asked.go("/agreement")


def _version(asked: Asked) -> int:
    version = asked.sent.get("version")
    if type(version) is not int:
        raise InvalidError("that names no version", next_step="Load the page again.")
    return version


def _hours(hours: Hours, zone: str) -> str:
    days = ", ".join(_DAYS[day - 1] for day in sorted(hours.weekdays))
    clock = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in (hours.start_minute, hours.end_minute)]
    return f"{days}, {clock[0]} to {clock[1]} ({zone}); outside them only engineers on call"


def _says(terms: Terms) -> list[tuple[str, Any]]:
    """Each term in words."""
    by_phone = "yes: we write it down, and mail it to all of you at once" if terms.consent_by_phone else "no"
    lengths = [f"{kind.value}: at least {least} characters" for kind, least in sorted(terms.secret_lengths.items())]
    classes = [f"{kind.value}: {', '.join(sorted(c))}" for kind, c in sorted(terms.secret_classes.items())]
    return [
        ("How many of you have to say yes", terms.approvals_needed),
        ("Working hours", _hours(terms.hours, terms.zone) if terms.hours else "any hour"),
        ("A visit lasts at most", f"{terms.max_minutes // 60} h {terms.max_minutes % 60:02d} min"),
        ("A ticket number is needed", "yes" if terms.ticket_required else "no"),
        ("A yes by telephone counts", by_phone),
        ("New passwords go to addresses in", ", ".join(terms.mail_domains) or "no domain: to an approver only"),
        ("The only approver may get a password", "yes" if terms.only_approver_may_receive else "no"),
        ("New passwords are", "; ".join([*lengths, *classes]) or "as the phone system wants them"),
    ]

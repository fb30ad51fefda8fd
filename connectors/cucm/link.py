"""The way to a Unified Communications Manager and its Unity Connection: what came of each request, in our own words.

The identity is proven before the credential is unsealed (`connectors.transport.web`); what can be sent is in
`requests`, what is kept of an answer in `answers`. A look that the phone system is too busy for is asked again after a
while; a write never is.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Final

from connectors.contract import Target, Unseal
from connectors.cucm.answers import Fault, Row, Rows, version
from connectors.cucm.requests import GUARD, render
from connectors.cucm.settings import VERSIONS, CucmSettings
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    InvalidValue,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Refused,
    Unreachable,
)
from connectors.guard import Allowed
from connectors.transport.web import Answer, Sink, Web

_NOT_FOUND: Final = 5007
_LOWER_RANK: Final = 5003
_OLD_VERSION: Final = 599
_FIRST_WAIT_MS: Final = 1_000
_ROLES: Final = (
    "The account needs the roles Standard AXL API Access and Standard CCM Admin Users: docs/connectors/cisco-cucm.md."
)
_SERVICE: Final = (
    "Its administrator activates the Cisco AXL Web Service on the publisher (Cisco Unified Serviceability)."
)


class TooMany(Refused):
    """What was asked for does not fit into one answer. `fits`: what does, as far as the phone system said."""

    def __init__(self, fits: int) -> None:
        super().__init__("the phone system finds that too much for one answer")
        self.fits = fits


class Link:
    """An open, authenticated way to one phone system."""

    def __init__(self, axl: Web, unity: Web | None, token: str, wait_ms: int) -> None:
        self._axl, self._unity, self._token = axl, unity, token
        self._wait_ms = wait_ms
        self.version = VERSIONS[0]
        """The schema that is spoken."""
        self.release = ""
        """What the phone system calls itself."""

    async def ask(self, request: Allowed, rows: Rows) -> None:
        """One AXL request; what is kept of its answer goes where `rows` says. NotFound, Refused, TooMany, RateLimited,
        CredentialRefused, Unreachable, ProtocolViolation; OutcomeUnknown for a write whose outcome is not known."""
        waited = 0
        pause = _FIRST_WAIT_MS
        while True:
            readers = _Readers(rows)
            answer = await self._axl.ask(request, self._token, choose=readers)
            if answer.status == 200:
                _whole(request, rows)
                return
            fault = readers.fault or Fault()
            if answer.status == 500:
                _whole(request, fault)
            busy = answer.status == 503 or (answer.status == 500 and fault.busy)
            told = pause if answer.retry_after_ms is None else answer.retry_after_ms
            if not busy or request.writes or waited + told > self._wait_ms or pause > self._wait_ms:
                raise _refusal(request, answer, fault, told)
            await asyncio.sleep(told / 1000)
            waited, pause = waited + told, pause * 2

    async def ask_unity(self, request: Allowed, rows: Rows | None = None) -> None:
        """One request to Unity Connection: 200 with rows for a look, 204 with nothing for a write."""
        if self._unity is None:
            raise Refused("this phone system's settings name no Unity Connection")
        wanted = 204 if rows is None else 200
        answer = await self._unity.ask(request, self._token, choose=lambda status: rows if status == 200 else None)
        if answer.status == wanted:
            if rows is not None:
                _whole(request, rows)
            return
        raise _unity_refusal(request, answer)

    async def close(self) -> None:
        """Let go of both."""
        await self._axl.close()
        if self._unity is not None and self._unity is not self._axl:
            await self._unity.close()


class _Readers:
    """Who reads an answer, by its status: rows, or what a fault says."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.fault: Fault | None = None

    def __call__(self, status: int) -> Sink | None:
        if status == 200:
            return self._rows
        if status == 500:
            self.fault = Fault()
        return self.fault


def _whole(request: Allowed, rows: Rows) -> None:
    failure: ConnectorError | None = None
    try:
        rows.finish()
    except ProtocolViolation as error:
        failure = error
    if failure is not None and request.writes:
        raise OutcomeUnknown("the answer to what was written makes no sense")
    if failure is not None:
        raise failure


def _refusal(request: Allowed, answer: Answer, fault: Fault, wait_ms: int) -> ConnectorError:
    """What an answer other than 200 means. Of its text nothing is said but the code."""
    nothing = "; nothing was written" if request.writes else ""
    match answer.status:
        case 401:
            return CredentialRefused("the phone system does not take our account's name and password")
        case 403:
            return CredentialRefused("our account may not use the phone system's AXL interface", next_step=_ROLES)
        case 404:
            return Refused("the phone system offers no AXL interface there", next_step=_SERVICE)
        case 503:
            return RateLimited(
                f"the phone system is too busy to take that now{nothing}", retry_after_ms=wait_ms,
                next_step="Wait a few seconds and try again; after large changes it may take minutes.",
            )  # fmt: skip
        case status if status == _OLD_VERSION:
            return Refused(
                "the phone system does not speak that version of AXL",
                next_step="The operator sets `version` to ask, or to the phone system's own.",
            )
        case 500 if fault.code is not None or fault.fits is not None or fault.busy:
            return _fault(request, fault, nothing, wait_ms)
    if request.writes and answer.status >= 500:
        return OutcomeUnknown(f"the phone system answered with the number {answer.status}, and not with its outcome")
    return Refused(f"the phone system refused it (HTTP {answer.status}){nothing}")


def _fault(request: Allowed, fault: Fault, nothing: str, wait_ms: int) -> ConnectorError:
    if fault.fits is not None and not request.writes:
        return TooMany(fault.fits)
    if fault.busy:
        return RateLimited(f"the phone system is too busy for that now{nothing}", retry_after_ms=wait_ms)
    if fault.code == _NOT_FOUND:
        return NotFound("there is no such person on the phone system")
    if fault.code == _LOWER_RANK:
        return Refused(
            f"the phone system does not let our account do that to this person (AXL code 5003){nothing}",
            next_step="Its administrator compares the user ranks of the account and of the person.",
        )
    return Refused(
        f"the phone system refused it (AXL code {fault.code}){nothing}",
        next_step="Try it in its own administration, which says why.",
    )


def _unity_refusal(request: Allowed, answer: Answer) -> ConnectorError:
    nothing = "; nothing was written" if request.writes else ""
    match answer.status:
        case 401 | 403:
            return CredentialRefused(
                "Unity Connection does not take our account",
                next_step="The same account, with the same password and the role System Administrator or User "
                "Administrator, has to be in Unity Connection: docs/connectors/cisco-cucm.md.",
            )
        case 404:
            return NotFound("there is no such mailbox in Unity Connection")
        case 400 if request.writes:
            return Refused(
                "Unity Connection refused the new PIN; nothing was written",
                next_step="Its authentication rules may want a longer PIN, or one that was not used before.",
            )
        case 429 | 503:
            return RateLimited(
                f"Unity Connection is too busy to take that now{nothing}",
                retry_after_ms=answer.retry_after_ms or _FIRST_WAIT_MS,
            )
    if request.writes and (answer.status >= 500 or answer.status < 300):
        return OutcomeUnknown(f"Unity Connection answered with the number {answer.status}, and not with its outcome")
    return Refused(f"Unity Connection refused it (HTTP {answer.status}){nothing}")


async def connect(target: Target, settings: CucmSettings, unseal: Unseal) -> Link:
    """Identity first, then the credential, then the version. Both ends are proven by pin at each connection."""
    axl = Web(target, GUARD, render, server_name=settings.server_name)
    unity = _unity(axl, target, settings)
    try:
        await axl.prove()
        credential = await unseal()
        if credential.password is None or ":" in credential.login:
            raise CredentialRefused(
                "this phone system wants a name without a colon, and a password",
                next_step="The operator stores them with --login and --password-file (`frameroom system credential`).",
            )
        token = base64.b64encode(f"{credential.login}:{credential.password}".encode()).decode()
        link = Link(axl, unity, token, target.answer_timeout_ms)
        await _agree(link, settings)
    except BaseException:
        await axl.close()
        if unity is not None and unity is not axl:
            await unity.close()
        raise
    return link


def _unity(axl: Web, target: Target, settings: CucmSettings) -> Web | None:
    if settings.unity is None:
        return None
    if settings.unity.host is None or settings.unity.pin is None:
        return axl
    there = replace(target, host=settings.unity.host, port=settings.unity.port, pin=settings.unity.pin)
    return Web(there, GUARD, render, server_name=settings.unity.server_name)


async def _agree(link: Link, settings: CucmSettings) -> None:
    """The version that both speak: the one that is set, or the newest that the phone system takes."""
    wanted = VERSIONS if settings.version == "ask" else (settings.version,)
    failure: ConnectorError | None = None
    for axl in wanted:
        found = list[Row]()
        try:
            await link.ask(GUARD.render("version", axl=axl), version(found.append))
        except (Refused, NotFound, ProtocolViolation) as error:
            failure = error  # what old ones answer to a version that they never heard of is not known
            continue
        link.version, link.release = axl, _release(found)
        return
    if settings.version == "ask":
        raise Unreachable(
            "the phone system takes none of the versions of AXL that are spoken here", next_step=_SERVICE
        ) from None
    raise failure or InvalidValue("no version of AXL is set")


def _release(found: list[Row]) -> str:
    said = found[0].get("version", [""])[0] if found else ""
    return said if said and len(said) <= 50 and all(one.isalnum() or one in ".-()" for one in said) else "unknown"

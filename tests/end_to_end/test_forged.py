"""An operator with the database, every key and a root shell makes a permission, then an approver: both are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from audit.assertions import to_text
from audit.events import Event
from audit.verify import main
from connectors.contract import Operation
from gateway.access.approving import Approving
from gateway.cli.demo import LOGIN, Demo
from gateway.lifecycle import GrantState, RequestState
from gateway.model import Request, new_id
from gateway.store.tables import approvers, grants, requests
from gateway.wiring.duties import passkeys_of
from tests.support.browser_passkey import SoftwarePasskey


@dataclass
class Forger:
    """Has everything that a deployment has, and writes what it likes; `customer` is whose log it writes into."""

    demo: Demo
    customer: str
    folder: Path

    async def request(self) -> Request:
        """The engineer asks, as engineers do."""
        parts = self.demo.app.parts
        engineer = next(e for e in await parts.engineers.all() if e.login == LOGIN)
        _, system = (await self.demo.app.commands.places.systems_for(engineer.id))[0]
        return await parts.permission.submit(engineer.id, system, frozenset({Operation.VIEW}), 60, "T-1", "Work")

    async def approver(self, name: str) -> str:
        parts = self.demo.app.parts
        async with parts.store.look(self.customer) as scope:
            query = select(approvers.c.id).where(approvers.c.name == name)
            return str((await scope.execute(query)).scalar_one())

    async def key(self, approver: str, by: str) -> tuple[SoftwarePasskey, str]:
        """A passkey of an approver's, enrolled, and its fingerprint. Only `by` tells who invited."""
        passkeys = passkeys_of(self.demo.app.parts)
        await passkeys.invite("operator", self.customer, approver, by)
        mail = await self.demo.mails.wait_for("/invitation/")
        secret = mail.partition("/invitation/")[2].split()[0].partition("/")[2]
        key = SoftwarePasskey(passkeys.site)
        options = await passkeys.enrolment_options(self.customer, secret)
        self.demo.mails.caught.clear()
        return key, (await passkeys.enrol(self.customer, secret, key.create(options))).fingerprint

    async def yes(self, request: Request, approver: str, key: SoftwarePasskey) -> str:
        """A yes by way of the code itself; the grant."""
        parts = self.demo.app.parts
        approving = Approving(parts.store, parts.audit, parts.permission, passkeys_of(parts))
        answer = key.get(to_text(bytes.fromhex(request.digest)))
        grant = await approving.yes(
            self.customer, approver, request.id, [o.value for o in request.operations], request.until_ms, answer
        )
        assert grant is not None
        return grant.id

    async def verdict(self, capsys: pytest.CaptureFixture[str], grant: str, *pins: str) -> tuple[int, str]:
        """What the customer's verifier says of the permission, with the fingerprints that they wrote down."""
        pieces = await self.demo.admin("audit report", why="test", grant=grant, held=[], recording=False)
        report, pinned = self.folder / "report.txt", self.folder / "pins.txt"
        report.write_text("".join(piece["text"] for piece in pieces), encoding="utf-8")
        pinned.write_text("\n".join(pins), encoding="utf-8")
        code = main([str(report), "--vkey", self.demo.app.parts.signer.vkey, "--approvers", str(pinned)])
        said = capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture
async def forger(demo: Demo, tmp_path: Path) -> Forger:
    (customer,) = [row["id"] for row in await demo.admin("customer list")]
    return Forger(demo, str(customer), tmp_path)


async def test_9_a_permission_that_the_operator_made_is_found(
    forger: Forger, capsys: pytest.CaptureFixture[str]
) -> None:
    kate = await forger.approver("Kate Brook")
    key, pin = await forger.key(kate, "operator")
    code, said = await forger.verdict(capsys, await forger.yes(await forger.request(), kate, key), pin)
    assert (code, "was signed by 1 approvers with their own keys" in said) == (0, True), said
    parts, request, grant = forger.demo.app.parts, await forger.request(), new_id("gra")
    async with parts.store.scope(forger.customer) as scope:
        values = {
            "customer_id": forger.customer, "id": grant, "request_id": request.id, "system_id": request.system_id,
            "engineer_id": request.engineer_id, "operations": "view", "from_ms": request.from_ms,
            "until_ms": request.until_ms, "state": GrantState.OPEN, "version": 1, "approver_ids": kate,
            "how": "signed with the approver's own key",
        }  # fmt: skip
        await scope.execute(insert(grants).values(**values))
        mine = requests.c.id == request.id
        await scope.execute(update(requests).where(mine).values(state=RequestState.GRANTED))
        data = {"how": values["how"], "until_ms": request.until_ms, "operations": ["view"]}
        event = Event(
            "request.granted", forger.customer, kate, system=request.system_id, request=request.id, grant=grant,
            data=data,
        )  # fmt: skip
        await parts.audit.append(scope.connection, event)
    code, said = await forger.verdict(capsys, grant, pin)
    assert (code, "nobody of the customer's said yes" in said) == (1, True), said


async def test_9_an_approver_that_the_operator_made_is_found(
    forger: Forger, capsys: pytest.CaptureFixture[str]
) -> None:
    kate = await forger.approver("Kate Brook")
    _, pin = await forger.key(kate, "operator")
    directory = forger.demo.app.parts.directory
    # As if Kate had named them in the portal: whoever writes the database can say so.
    stooge = await directory.add_approver(kate, forger.customer, "Mallory", "m@customer.example", "", kate)
    key, other = await forger.key(stooge, kate)
    grant = await forger.yes(await forger.request(), stooge, key)
    code, said = await forger.verdict(capsys, grant, pin)
    assert (code, "that you did not pin" in said, other in said) == (4, True, True), said

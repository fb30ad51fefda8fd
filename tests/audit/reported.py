"""A customer's log with a visit that was asked for, signed, made, recorded and closed, and a neighbour's beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit import canonical
from audit.events import Event, Personal
from audit.publisher import object_name
from audit.recording.frames import OUTPUT, pack, seal_segment
from audit.recording.session import recording_digest
from audit.report import Reporter
from audit.reportfile import Report
from tests.support.passkey import Passkey

from .conftest import CUSTOMER, DEPLOYMENT, House

SYSTEM, GRANT, REQUEST = "sys_" + "4" * 24, "gra_" + "5" * 24, "req_" + "8" * 24
SESSION, OPERATION = "ses_" + "3" * 24, "op_" + "7" * 24
ENGINEER, APPROVER = "eng_" + "6" * 24, "apr_" + "9" * 24
ORIGIN = f"{DEPLOYMENT}/{CUSTOMER}"
UNTIL = 4_000_000_000_000
"""When the permission ends (Unix ms)."""


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Story:
    """Plays into a house. `passkey` is the approver's."""

    house: House
    log: str = CUSTOMER
    passkey: Passkey = field(default_factory=Passkey)
    wanted: tuple[str, ...] = ("alter",)
    until: int = UNTIL

    async def add(self, *events: Event) -> None:
        async with self.house.engine.begin() as connection:
            await self.house.audit.append_many(connection, events)

    def event(self, kind: str, data: dict[str, Any] | None = None, *personal: Personal, **ids: str) -> Event:
        return Event(kind, self.log, ids.pop("actor", ENGINEER), data=data or {}, personal=personal, **ids)

    @property
    def about(self) -> dict[str, str]:
        return {"system": SYSTEM, "request": REQUEST}

    @property
    def request(self) -> str:
        """The canonical text that is signed."""
        asked = {
            "v": 1, "customer": self.log, "request": REQUEST, "system": SYSTEM, "system_name": "Head office",
            "engineer": ENGINEER, "engineer_name": "Ana Silva", "operations": sorted(self.wanted), "from": 1,
            "until": self.until, "ticket": "T-7", "reason": "Grace married",
        }  # fmt: skip
        return canonical.encode(asked).decode()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.request.encode()).hexdigest()

    def enrolled(self, passkey: Passkey | None = None, approver: str = APPROVER) -> Event:
        key = passkey or self.passkey
        data = {
            "approver": approver, "credential": key.credential, "public_key": b64(key.public), "rp_id": key.rp_id,
            "how": "invitation",
        }  # fmt: skip
        return self.event("approver.key_enrolled", data, actor=approver)

    def signed(
        self, passkey: Passkey | None = None, challenge: bytes | None = None, approver: str = APPROVER, **client: Any
    ) -> Event:
        key = passkey or self.passkey
        made = key.sign(bytes.fromhex(self.digest) if challenge is None else challenge, **client)
        data = {
            "approver": approver, "credential": key.credential, "digest": self.digest,
            "authenticator_data": b64(made.authenticator_data), "client_data": b64(made.client_data),
            "signature": b64(made.signature),
        }  # fmt: skip
        words = Personal("request", self.request, f"request:{REQUEST}")
        return self.event("approval.signed", data, words, actor=approver, **self.about)

    @property
    def granted(self) -> dict[str, Any]:
        """What the permission says of itself."""
        return {"how": "signed", "until_ms": UNTIL, "operations": ["alter"]}

    async def permitted(self, *approvals: Event) -> None:
        """Asked, and allowed by these approvals (the approver's own yes, if none is given)."""
        name = Personal("name", "Kate Brook", f"customer:{self.log}")
        asked = {
            "engineer": ENGINEER, "operations": list(self.wanted), "until_ms": self.until, "digest": self.digest,
        }  # fmt: skip
        told = {"ticket": "T-7", "reason": "Grace married"}
        why = tuple(Personal(name, value, f"request:{REQUEST}") for name, value in told.items())
        await self.add(
            self.event("customer.added", {"region": "uk"}, Personal("name", "Brook & Sons", f"customer:{self.log}")),
            self.event("approver.added", {"approver": APPROVER}, name), self.enrolled(),
            self.event("heartbeat", {"sessions": 0}), self.event("request.submitted", asked, *why, **self.about),
            *(approvals or (self.signed(),)),
            self.event("request.granted", self.granted, **self.about, grant=GRANT),
        )  # fmt: skip

    async def visited(
        self, session: str = SESSION, operation: str = OPERATION, between: Sequence[Event] = ()
    ) -> None:  # fmt: skip
        """One visit, recorded in two segments; a heartbeat of the log, and `between`, in the middle of it."""
        ids = {"system": SYSTEM, "session": session, "grant": GRANT}
        key = self.house.keys.get_or_create(self.log, f"session:{session}")
        digests, segments = [], []
        for number in range(2):
            frames = pack(number, OUTPUT, f"screen {number}\r\n".encode())
            sealed = seal_segment(key, self.log, session, number, number, frames)
            self.house.objects.put_new(f"recordings/{self.log}/{session}/{number}", sealed)
            digests.append(hashlib.sha256(sealed).hexdigest())
            told = {"n": number, "digest": digests[-1], "bytes": len(sealed)}
            segments.append(self.event("recording.segment", told, session=session))
        subject = "subject:sub_" + "9" * 24
        changed = (Personal("before", {"name": "Grace"}, subject), Personal("after", {"name": "Grace Bell"}, subject))
        closing = {"segments": 2, "digest": recording_digest(digests)}
        await self.add(
            self.event(
                "session.opened", {"engineer": ENGINEER, "factor": "totp"},
                Personal("address", "192.0.2.7", f"session:{session}"), **ids,
            ),
            self.event("operation.intended", {"name": "alter"}, operation=operation, **ids), segments[0],
            self.event("heartbeat", {"sessions": 1}), *between,
            self.event("operation.done", {"name": "alter"}, *changed, operation=operation, **ids), segments[1],
            self.event("recording.closed", closing, session=session),
            self.event("session.closed", {"reason": "they left", "operations": 1, "segments": 2, "bytes": 9}, **ids),
        )  # fmt: skip

    async def whole(self) -> None:
        """Permitted, visited, and published."""
        await self.permitted()
        await self.visited()
        await self.add(*(self.event("heartbeat", {"sessions": 0}) for _ in range(3)))
        await self.house.sequence()

    @property
    def note(self) -> str:
        """The published checkpoint."""
        return (self.house.objects.get(object_name(self.log)) or b"").decode()

    async def report(self, *held: str, recording: bool = True) -> Report:
        async with self.house.engine.connect() as connection:
            reporter = Reporter(connection, self.house.audit, self.house.objects, self.note)
            return await reporter.visit(SESSION, held, recording=recording)

"""A whole Frameroom in processes of its own, as an operator runs it, so that everything it holds can be searched.

The lab, which knows every secret, is one process; the gateway with its fork server is another; mail comes to the test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pyotp

from gateway.wiring.asking import ask
from gateway.wiring.parts import make_keys
from tests.support.post import Post, post_office

ROOT = Path(__file__).parents[2]
CUSTOMER, SYSTEM, LOGIN = "Brook & Sons", "Head office", "ana"
FRAMEROOM = (sys.executable, "-m", "gateway.cli.main")


@dataclass(slots=True)
class Separate:
    """The deployment in `folder`; the lab in `lab`, which is no part of it."""

    folder: Path
    lab: Path
    post: Post
    ops_port: int
    gateway: asyncio.subprocess.Process = field(init=False)
    lab_state: dict[str, Any] = field(init=False)
    ssh: list[str] = field(init=False)
    said: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        """The operator's file."""
        return self.folder / "frameroom.toml"

    async def admin(self, name: str, /, **given: Any) -> Any:
        """A command of the operator's."""
        answer = await ask(self.folder / "data" / "control.sock", name, given)
        assert answer is not None, "nobody serves"
        assert "error" not in answer, answer
        return answer["result"]

    async def frameroom(self, *words: str) -> str:
        """A command of the operator's as a process; what it said. It has to go well."""
        process = await asyncio.create_subprocess_exec(
            *FRAMEROOM, "-c", str(self.config), *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode() + err.decode()

    async def run(self, command: str) -> int:
        """A command of the engineer's over the open connection; its exit code. What it said is kept."""
        process = await asyncio.create_subprocess_exec(
            *self.ssh, "-S", str(self.folder / "m"), f"{LOGIN}@127.0.0.1", command, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        self.said.append(out.decode())
        return process.returncode or 0

    def secrets(self) -> dict[str, dict[str, str]]:
        """What the lab holds now: extension → kind → value."""
        people = json.loads((self.lab / "people.json").read_text(encoding="utf-8"))
        return {p["extension"]: {kind: p[kind] for kind in ("sip", "pin", "portal")} for p in people.values()}

    def mails(self) -> list[str]:
        """Every mail that came, headers and text."""
        return [f"{m.items()}\n{m.get_content()}" for m in self.post.kept]

    async def mail_with(self, words: str, count: int) -> list[str]:
        """Mails that hold `words`, once `count` of them have come."""
        async with asyncio.timeout(90):
            while True:
                self.post.arrived.clear()
                found = [mail for mail in self.mails() if words in mail]
                if len(found) >= count:
                    return found
                await self.post.arrived.wait()

    async def sign_in(self, totp: str) -> None:
        """A connection that commands share."""
        helper = self.folder / "askpass"
        helper.write_text(f"#!/bin/sh\necho {pyotp.TOTP(totp).now()}\n")
        helper.chmod(0o700)
        environment = os.environ | {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        process = await asyncio.create_subprocess_exec(
            *self.ssh, "-M", "-S", str(self.folder / "m"), "-f", "-N", f"{LOGIN}@127.0.0.1", env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == 0, "the engineer could not sign in"

    async def permit(self, operations: str) -> None:
        """Ask as the engineer does, and enter the customer's yes."""
        asked = await self.run(f'request "{SYSTEM}" --ops {operations} --for 2h --ticket T-1 --reason "The sweep"')
        assert asked == 0, self.said[-1]
        (waiting,) = [row for row in await self.admin("request list") if row["state"] == "waiting"]
        await self.admin(
            "request record-consent", request=waiting["id"], by="Omar Aziz", recorded_by="Bo", at_ms=None, words="yes"
        )

    async def leave(self) -> None:
        """The engineer hangs up."""
        process = await asyncio.create_subprocess_exec(
            *self.ssh, "-S", str(self.folder / "m"), "-O", "exit", f"{LOGIN}@127.0.0.1",
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await process.wait()


@asynccontextmanager
async def separate(folder: Path, database: tuple[str, str] | None) -> AsyncIterator[Separate]:
    """Furnished, serving, the engineer signed in. `database`: (owner's, application's URL), None for SQLite."""
    async with post_office() as post:
        here = Separate(folder / "frameroom", folder / "lab", post, _free_port())
        here.folder.mkdir()
        lab = await _start_lab(here)
        try:
            await _init(here, database)
            async with _serving(here):
                totp = await _furnish(here)
                await here.sign_in(totp)
                yield here
        finally:
            lab.terminate()
            await lab.wait()


async def _start_lab(here: Separate) -> asyncio.subprocess.Process:
    lab = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "connectors.lab", "--data", str(here.lab), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert lab.stdout is not None
    here.lab_state = json.loads(await lab.stdout.readline())
    return lab


async def _init(here: Separate, database: tuple[str, str] | None) -> None:
    storage = f'[storage]\nowner_url = "{database[0]}"\ndatabase_url = "{database[1]}"\n' if database else ""
    here.config.write_text(
        '[deployment]\nname = "sweep.frameroom.example"\ncompany_domains = ["company.example"]\n'
        f'[ssh]\nhost = "127.0.0.1"\nport = 0\n[portal]\nport = 0\n[ops]\nport = {here.ops_port}\n'
        f'[mail]\nhost = "127.0.0.1"\nport = {here.post.port}\ntls = "none"\nsender = "frameroom@company.example"\n'
        f'[log]\nlevel = "debug"\n{storage}',
        encoding="utf-8",
    )
    make_keys(here.folder / "data" / "keys")
    await here.frameroom("db", "upgrade")


@asynccontextmanager
async def _serving(here: Separate) -> AsyncIterator[None]:
    told = here.folder.parent / "told.log"
    with told.open("wb") as log:
        here.gateway = await asyncio.create_subprocess_exec(
            *FRAMEROOM, "-c", str(here.config), "serve", cwd=ROOT, stdout=log, stderr=log
        )
        try:
            port = await _port(here.gateway, told)
            key = (here.folder / "data" / "keys" / "ssh_host_ed25519").read_bytes()
            public = asyncssh.import_private_key(key).export_public_key().decode()
            known = here.folder / "known_hosts"
            known.write_text(f"[127.0.0.1]:{port} {public}", encoding="utf-8")
            here.ssh = [
                "ssh", "-p", str(port), "-i", str(here.folder / "ana_key"), "-o", f"UserKnownHostsFile={known}",
                "-o", "IdentitiesOnly=yes",
            ]  # fmt: skip
            yield
        finally:
            if here.gateway.returncode is None:
                here.gateway.terminate()
            await here.gateway.wait()


async def _port(gateway: asyncio.subprocess.Process, told: Path) -> int:
    """The SSH port, which it says once it serves."""
    async with asyncio.timeout(90):
        while True:
            found = re.search(rb"listening on port (\d+)", told.read_bytes())
            if found:
                return int(found[1])
            assert gateway.returncode is None, told.read_text()
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def _furnish(here: Separate) -> str:
    key = asyncssh.generate_private_key("ssh-ed25519", "ana@laptop")
    key.write_private_key(str(here.folder / "ana_key"))
    (here.folder / "ana_key").chmod(0o600)
    await here.admin("engineer add", login=LOGIN, name="Ana Silva", email="ana@company.example", roles=[])
    await here.admin("engineer key add", login=LOGIN, key=key.export_public_key().decode())
    totp = (await here.admin("engineer totp", login=LOGIN))["secret"]
    await here.admin("customer add", name=CUSTOMER)
    await here.admin("customer engineer", customer=CUSTOMER, login=LOGIN, veto=False)
    for name in ("Kate Brook", "Omar Aziz"):
        email = f"{name.split()[0].lower()}@customer.example"
        await here.admin("approver add", customer=CUSTOMER, name=name, email=email, phone="")
    contact = {"name": "Kate Brook", "email": "kate@customer.example", "position": "", "phone": "", "notices": "each"}
    await here.admin("contact add", customer=CUSTOMER, **contact)
    operations = ["find", "list-all", "view", "alter", "reset-voicemail", "reset-sip", "reset-portal", "diag"]
    # Long PINs: of six digits some stand by chance in any large heap of bytes.
    terms = {
        "operations": operations, "mail_domains": ["customer.example"], "consent_by_phone": True,
        "secret_lengths": {"voicemail": 10},
    }  # fmt: skip
    await here.admin("agreement set", customer=CUSTOMER, terms=terms)
    await here.admin("agreement confirm", customer=CUSTOMER, by="Kate Brook", how="letter")
    lab = here.lab_state
    await here.admin(
        "system add", customer=CUSTOMER, name=SYSTEM, connector="lab", host=lab["host"], port=lab["ssh_port"],
        pin=lab["host_key"], login=lab["login"], password=None,
        private_key=Path(lab["private_key_file"]).read_text(), settings="{}", site="Leeds", asset="",
    )  # fmt: skip
    return str(totp)


# --- what to look for, and where it stands ---


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret as text, hex, UTF-16 and base64 (at each offset, in both alphabets)."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield secret.decode("latin-1").encode("utf-16-le")
    yield secret.decode("latin-1").encode("utf-16-be")
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + secret)
        # The first and last characters also hold bits of the neighbours.
        middle = coded[4 if offset else 0 : -4]
        yield middle
        yield middle.translate(bytes.maketrans(b"+/", b"-_"))


def needles(secrets: Iterable[bytes]) -> list[bytes]:
    """Everything to be looked for."""
    return list(dict.fromkeys(form for secret in secrets for form in forms(secret)))


def found_in(data: bytes, wanted: Iterable[bytes]) -> list[bytes]:
    """Which of the needles stand in `data`; digits count where they stand alone, not as a part of a longer number."""
    return [needle for needle in wanted if _stands(data, needle)]


def _stands(data: bytes, needle: bytes) -> bool:
    if not needle.isdigit():
        return needle in data
    return needle in data and re.search(rb"(?<![0-9A-Za-z])%b(?![0-9A-Za-z])" % re.escape(needle), data) is not None

"""The invented site on a live Asterisk, with the account that docs/connectors/asterisk-ami.md says to create."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.asterisk_ami.connector import AmiConnector, AsteriskAmiFamily
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import Credential, Target
from tests.support.ami import site
from tests.support.certificates import certificate
from tests.support.flat_pbx import CAPTURED
from tests.support.live_asterisk import Live, free_port, started

_TRANSPORT = "[transport-udp]\ntype=transport\nprotocol=udp\nbind=127.0.0.1:{port}\n"
MORE = "frameroom-more"
"""An account that may also ask which telephones are registered."""
_MANAGER = """
[general]
enabled = yes
bindaddr = 127.0.0.1
port = {plain}
tlsenable = yes
tlsbindaddr = 127.0.0.1:{tls}
tlscertfile = {etc}/ami.pem
tlsprivatekey = {etc}/ami.key

[{login}]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
write = config,reporting

[{more}]
secret = {secret}
write = config,reporting,system
"""


def files(sip_port: int) -> dict[str, str]:
    """The site's, with a way in for telephones."""
    made = site.files()
    return made | {"pjsip.conf": _TRANSPORT.format(port=sip_port) + made["pjsip.conf"]}


@dataclass
class LivePbx:
    """One live Asterisk, as the connector is told of it. `plain`: its port without TLS."""

    live: Live
    etc: Path
    port: int
    plain: int
    pin: str

    async def connect(self, login: str = site.LOGIN, **settings: Any) -> AmiConnector:
        """With TLS; a SIP reset is proven by a REGISTER."""
        made = AsteriskAmiSettings.model_validate({"sip_port": self.live.sip_port} | settings)

        async def unseal() -> Credential:
            return Credential(login, site.SECRET)

        pin = settings.get("pin", self.pin)
        target = Target("sys_1", "127.0.0.1", self.port, pin, made, 10_000, 20_000)
        return await AsteriskAmiFamily().connect(target, unseal)

    def text(self, name: str) -> str:
        """A file as it is now."""
        return (self.etc / name).read_text(encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """As somebody with an editor would: it is loaded by nobody yet."""
        assert old in self.text(name)
        (self.etc / name).write_text(self.text(name).replace(old, new), encoding="utf-8")

    def pin_of(self, mailbox: str) -> str:
        """The PIN that Asterisk itself goes by."""
        return self.mailbox(mailbox, "password")

    def mailbox(self, mailbox: str, what: str) -> str:
        """What Asterisk's dialplan is told of a mailbox."""
        told = self.live.ask(f"dialplan eval function VM_INFO({mailbox}@default,{what})")
        found = re.search(r"^Result: (.*)$", told, re.M)
        assert found, told
        return found[1]


@contextmanager
def running(folder: Path, twist: dict[str, tuple[str, str]] | None = None) -> Iterator[LivePbx]:
    """It, until the end of the block. `twist`: by file, what stands there instead of what."""
    sip, plain, tls = free_port(socket.SOCK_DGRAM), free_port(), free_port()
    etc, (pem, key) = folder / "etc", certificate()
    etc.mkdir()
    made = files(sip) | {
        "manager.conf": _MANAGER.format(plain=plain, tls=tls, etc=etc, login=site.LOGIN, secret=site.SECRET, more=MORE),
        "modules.conf": (CAPTURED / "modules.conf").read_text(), "ami.pem": pem, "ami.key": key,
    }  # fmt: skip
    for name, (old, new) in (twist or {}).items():
        assert old in made[name]
        made[name] = made[name].replace(old, new)
    for name, text in made.items():
        (etc / name).write_text(text, encoding="utf-8")
    with started(folder, sip) as live:
        yield LivePbx(live, etc, tls, plain, pem)


class Wire:
    """A connection without TLS, on which bytes are sent and whole answers come back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Wire:
        """After the greeting."""
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        await made._reader.readline()
        return made

    async def ask(self, request: bytes) -> list[bytes]:
        """The lines of its answer, up to the end of its list if it is one."""
        self._writer.write(request)
        lines = list[bytes]()
        while True:
            packet = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-1]
            lines += packet
            is_list = any(line == b"EventList: start" for line in lines)
            if not is_list or b"EventList: Complete" in packet:
                return lines

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

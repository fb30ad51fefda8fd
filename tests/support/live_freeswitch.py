"""A live FreeSWITCH with one profile, one provider and two telephones, where there is one.

No Debian release of today packages FreeSWITCH: whoever has one names its program in FRAMEROOM_FREESWITCH.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.live_asterisk import Live, free_port

PASSWORD = "CANARY-eventsocket-5"
PROMPT, ITS = "frameroom@prompt.frameroom", "CANARY-esl-user:7"
SIP = {"1001": "CANARY-sip-1001", "1002": "CANARY-sip-1002"}
_MODULES = (
    "mod_console",
    "mod_event_socket",
    "mod_commands",
    "mod_dptools",
    "mod_dialplan_xml",
    "mod_sofia",
    "mod_lua",
)
_CONF = """<document type="freeswitch/xml">
<section name="configuration">
<configuration name="modules.conf"><modules>{modules}</modules></configuration>
<configuration name="switch.conf"><settings><param name="loglevel" value="warning"/></settings></configuration>
<configuration name="console.conf"><settings><param name="loglevel" value="warning"/></settings></configuration>
<configuration name="acl.conf"><network-lists/></configuration>
<configuration name="lua.conf"><settings>
<param name="script-directory" value="{scripts}/?.lua"/>
</settings></configuration>
<configuration name="event_socket.conf"><settings>
<param name="listen-ip" value="127.0.0.1"/><param name="listen-port" value="{port}"/>
<param name="password" value="{password}"/><param name="apply-inbound-acl" value="loopback.auto"/>
</settings></configuration>
<configuration name="sofia.conf"><profiles><profile name="internal">
<gateways><gateway name="provider">
<param name="username" value="acme"/><param name="password" value="CANARY-gateway"/>
<param name="realm" value="127.0.0.1"/><param name="proxy" value="127.0.0.1:9"/><param name="register" value="true"/>
</gateway></gateways>
<settings>
<param name="sip-ip" value="127.0.0.1"/><param name="sip-port" value="{sip}"/><param name="rtp-ip" value="127.0.0.1"/>
<param name="context" value="default"/><param name="dialplan" value="XML"/><param name="auth-calls" value="true"/>
<param name="inbound-codec-prefs" value="PCMU"/><param name="outbound-codec-prefs" value="PCMU"/>
</settings></profile></profiles></configuration>
</section>
<section name="dialplan"><context name="default"><extension name="any"><condition><action application="park"/>
</condition></extension></context></section>
<section name="directory">
<domain name="127.0.0.1"><groups><group name="default"><users>{users}</users></group></groups></domain>
<domain name="prompt.frameroom"><groups><group name="default"><users>
<user id="frameroom"><params><param name="esl-password" value="{its}"/>
<param name="esl-allowed-api" value="{may}"/>
<param name="esl-allowed-events" value="HEARTBEAT"/><param name="esl-allowed-log" value="false"/>
</params></user></users></group></groups></domain>
</section>
</document>
"""
_USER = '<user id="{user}"><params><param name="password" value="{secret}"/></params></user>'


def program() -> Path:
    """The program; without it the test is skipped."""
    found = os.environ.get("FRAMEROOM_FREESWITCH")
    if not found:
        pytest.skip("no FreeSWITCH here: name one in FRAMEROOM_FREESWITCH (its bin/freeswitch) to try a live one")
    return Path(found)


@dataclass
class LiveSwitch:
    """A running one. `port`: its event socket's."""

    port: int
    sip_port: int
    folder: Path

    def ask(self, line: str, how: str = "api") -> str:
        """Its prompt's answer, by the socket's own password."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as link, link.makefile("rb") as said:
            _message(said)
            link.sendall(f"auth {PASSWORD}\n\n".encode())
            assert b"+OK" in _message(said)[0]
            link.sendall(f"{how} {line}\n\n".encode())
            return _message(said)[1].decode()

    @contextmanager
    def call(self, number: str) -> Iterator[None]:
        """A call to a telephone that does not answer, by this number of a call, for as long as SIP tries."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as telephone:
            telephone.bind(("127.0.0.1", 0))
            where = f"sofia/internal/1001@127.0.0.1:{telephone.getsockname()[1]}"
            self.ask(f"originate {{origination_uuid={number}}}{where} &park", "bgapi")
            telephone.settimeout(20)
            assert telephone.recv(65536).startswith(b"INVITE ")
            yield

    def register(self, user: str, password: str, expires: int = 600) -> int:
        """The status of a REGISTER with these credentials."""
        return Live([], self.sip_port).register(user, password, expires)


def _message(said: object) -> tuple[bytes, bytes]:
    head = b""
    while not head.endswith(b"\n\n"):
        line = said.readline()  # type: ignore[attr-defined]
        assert line, "it hung up"
        head += line
    length = re.search(rb"Content-Length: (\d+)", head)
    return head, said.read(int(length[1])) if length else b""  # type: ignore[attr-defined]


def _both() -> int:
    """A port that nobody has, of UDP and of TCP: SIP wants both."""
    while True:
        port = free_port(socket.SOCK_DGRAM)
        with socket.socket() as other, contextlib.suppress(OSError):
            other.bind(("127.0.0.1", port))
            return port


@contextmanager
def running(
    folder: Path, may: str, scripts: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[LiveSwitch]:
    """It, until the end of the block. `may`: what the prompt's user may ask; `scripts`: where its Lua is."""
    found = program()
    modules = found.parents[1] / "lib" / "freeswitch" / "mod"
    names = [name for name in _MODULES if (modules / f"{name}.so").exists()]
    live = LiveSwitch(free_port(), _both(), folder)
    for name in ("conf", "log", "db", "run", "cache"):
        (folder / name).mkdir()
    (folder / "conf" / "freeswitch.xml").write_text(
        _CONF.format(
            modules="".join(f'<load module="{name}"/>' for name in names), port=live.port, sip=live.sip_port,
            password=PASSWORD, its=ITS, may=may, scripts=scripts or folder,
            users="".join(_USER.format(user=user, secret=secret) for user, secret in SIP.items()),
        )
    )  # fmt: skip
    places = [word for name in ("conf", "log", "db", "run", "cache") for word in (f"-{name}", str(folder / name))]
    places += ["-scripts", str(scripts or folder)]
    with (folder / "log" / "console").open("wb") as log:
        process = subprocess.Popen(
            [str(found), "-nonat", "-nc", "-nf", "-mod", str(modules), *places], env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if "RUNNING" in live.ask("sofia status"):
                    break
            assert process.poll() is None, (folder / "log" / "console").read_text()
            assert time.monotonic() < until, (folder / "log" / "console").read_text()
            time.sleep(0.1)
        yield live
    finally:
        process.kill()  # it takes its time to end, and keeps nothing that anybody needs
        process.wait()

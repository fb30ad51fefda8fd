"""A live Asterisk on some files, where there is one, and a telephone that registers with it.

No Debian release of today packages Asterisk: whoever has one names its program in FRAMEROOM_ASTERISK.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.flat_pbx import FlatPbx


def asterisk_program() -> Path:
    """The program; without it the test is skipped."""
    found = os.environ.get("FRAMEROOM_ASTERISK") or shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin")
    if not found:
        pytest.skip("no Asterisk here: name one in FRAMEROOM_ASTERISK (its sbin/asterisk) to try a live one")
    return Path(found)


def _modules(program: Path) -> Path:
    beside = [program.parents[1] / "lib" / "asterisk" / "modules", *Path("/usr/lib").glob("**/asterisk/modules")]
    return next(path for path in beside if path.is_dir())


@dataclass
class Live:
    """A running one. `sip_port`: UDP, loopback."""

    command: list[str]
    sip_port: int

    def ask(self, line: str) -> str:
        """Its console's answer."""
        return subprocess.run([*self.command, "-rx", line], capture_output=True, text=True, check=False).stdout

    def wait(self, console: Path) -> None:
        """Until it has started. Its console's socket comes a moment after it went into the background."""
        until = time.monotonic() + 30
        while "fully booted" not in self.ask("core waitfullybooted"):
            assert time.monotonic() < until, console.read_text(errors="replace")

    def register(self, user: str, password: str, expires: int = 0, algorithm: str = "MD5") -> int:
        """The status of a REGISTER with these credentials (RFC 3261 section 22, RFC 7616 with qop)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(5)
            link.connect(("127.0.0.1", self.sip_port))
            call, port = secrets.token_hex(8), link.getsockname()[1]
            answer = self._send(link, user, call, port, expires, 1, "")
            challenges = re.findall(r"WWW-Authenticate: .*", answer, re.I)
            asked = [dict(re.findall(r'(\w+)="?([^",\r]*)"?', challenge)) for challenge in challenges]
            (told,) = [one for one in asked if one.get("algorithm", "MD5").upper() == algorithm]
            uri, cnonce = "sip:127.0.0.1", secrets.token_hex(4)
            hashed = _HASHES[algorithm]
            ha1, ha2 = hashed(f"{user}:{told['realm']}:{password}"), hashed(f"REGISTER:{uri}")
            response = hashed(f"{ha1}:{told['nonce']}:00000001:{cnonce}:auth:{ha2}")
            line = (
                f'Authorization: Digest username="{user}", realm="{told["realm"]}", nonce="{told["nonce"]}", '
                f'uri="{uri}", response="{response}", algorithm={algorithm}, cnonce="{cnonce}", nc=00000001, qop=auth, '
                f'opaque="{told.get("opaque", "")}"\r\n'
            )
            return int(self._send(link, user, call, port, expires, 2, line).split()[1])

    def _send(self, link: socket.socket, user: str, call: str, port: int, expires: int, turn: int, more: str) -> str:
        link.send(
            (
                f"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{call}{turn}\r\n"
                f"From: <sip:{user}@127.0.0.1>;tag={call}\r\nTo: <sip:{user}@127.0.0.1>\r\nCall-ID: {call}\r\n"
                f"CSeq: {turn} REGISTER\r\nContact: <sip:{user}@127.0.0.1:{port}>\r\nExpires: {expires}\r\n"
                f"Max-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n"
            ).encode()
        )
        while True:
            answer = link.recv(65536).decode("utf-8", "replace")
            # Asterisk may ask something of its own in between (a NOTIFY of waiting messages): that is no answer.
            if re.match(r"SIP/2\.0 [2-6]", answer) and re.search(rf"(?im)^CSeq: {turn} REGISTER", answer):
                return answer


_HASHES: dict[str, Callable[[str], str]] = {
    "MD5": lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
    "SHA-256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
}


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """One on loopback that nobody has at the moment."""
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def started(folder: Path, sip_port: int, more: str = "") -> Iterator[Live]:
    """Asterisk on the files in `etc`, until the end of the block. `more`: further lines of asterisk.conf."""
    program = asterisk_program()
    for name in ("run", "log", "var", "spool"):
        (folder / name).mkdir(exist_ok=True)
    where = {"etc": "etc", "varlib": "var", "db": "var", "key": "var", "data": "var", "agi": "var", "cache": "var",
             "spool": "spool", "run": "run", "log": "log"}  # fmt: skip
    lines = [f"ast{key}dir => {folder / value}" for key, value in where.items()]
    conf = folder / "etc" / "asterisk.conf"
    conf.write_text("\n".join(["[directories]", f"astmoddir => {_modules(program)}", *lines, more, ""]))
    live = Live([str(program), "-C", str(conf)], sip_port)
    console = folder / "log" / "console"
    with console.open("wb") as log:
        # It goes into the background once its console can be asked.
        subprocess.run([*live.command, "-F"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True)
    try:
        live.wait(console)
        yield live
    finally:
        live.ask("core stop now")


@contextmanager
def running(pbx: FlatPbx) -> Iterator[Live]:
    """Asterisk on these files, until the end of the block; the helper's configuration names it."""
    for name in ("ari.conf", "http.conf", "manager.conf"):
        (pbx.etc / name).unlink()
    port = free_port(socket.SOCK_DGRAM)
    pbx.swap("pjsip.conf", "bind=127.0.0.1:5060", f"bind=127.0.0.1:{port}")
    with started(pbx.folder, port) as live:
        pbx.configure(asterisk=live.command, **pbx.changes)
        yield live

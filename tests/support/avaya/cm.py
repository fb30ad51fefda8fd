"""A Communication Manager's stations and its terminal for programs, as public programs know it.

Like the real one it tells every field to whoever names none, the security code among them, leaves empty values at the
end of a line away, and splits what it tells over several lines.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncssh

from connectors.console import AVAYA, find

LOGIN, PASSWORD = "frameroom", "CANARY-cm-password"
TERMINALS = "Terminal Type (513, 715, 4410, 4425, VT220, NTT, W2KTT, SUNT): [513] "
NO_RECORDS = "e1 00000000 29cf No records match the specified query options"
FIELDS = {
    "8005ff00": "extension",
    "8003ff00": "name",
    "004fff00": "kind",
    "8001ff00": "cor",
    "0000aa00": "security_code",
}
"""The id of the security code is invented: it is not public."""


@dataclass
class Station:
    """One of them."""

    extension: str
    name: str
    kind: str = "9608"
    cor: str = "1"
    security_code: str = "CANARY-4711"
    lamps: bool = False


Enemy = Callable[["asyncssh.SSHServerProcess[bytes]", bytes], Awaitable[None]]
Twist = Callable[[str, bytes], bytes]


@dataclass
class Cm:
    """One phone system."""

    stations: dict[str, Station] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    a_line: int = 2
    """Values to a line."""
    in_use: set[str] = field(default_factory=set)
    enemy: Enemy | None = None
    twist: Twist | None = None
    grumbles: bool = False
    """Whether a state comes with an error after it."""
    sorts: bool = True
    """Whether stations have to be sorted first, and are not held so."""

    def answer(self, lines: Sequence[str]) -> bytes:
        """One message, without its `t`, and what is said to it."""
        command = next((line[1:].strip() for line in lines if line.startswith("c")), "")
        ids = [one for line in lines if line.startswith("f") for one in line[1:].split("\t")]
        values = [one for line in lines if line.startswith("d") for one in line[1:].split("\t")]
        self._hear(command, ids, values)
        words = command.split()
        match words:
            case ["list", "station", *rest]:
                said = self._list(rest, ids)
            case ["status", "station", number] if number in self.stations:
                said = self._status(self.stations[number])
            case ["display", "time" | "alarms"] | ["list", "registered-ip-stations" | "trunk-group"]:
                said = ["f6e01ff00\t6e02ff00", "d Saturday \t01:00", "n", "dSunday"]
            case ["status", "trunk" | "signaling-group", _] | ["status", "media-gateways"]:
                said = [
                    "f6e03ff00",
                    "din-service/idle",
                    *(["e9 00000000 1b2 Alarm log is full"] if self.grumbles else []),
                ]
            case ["change", "station", number] if number in self.stations:
                said = self._change(self.stations[number], dict(zip(ids, values, strict=True)))
            case ["clear", "amw", "all", number] if number in self.stations:
                self.stations[number].lamps = False
                said = []
            case ["remove", "station", number] if number in self.stations:
                said = self._remove(number)
            case ["display", "station", number] if number in self.stations:
                said = self._told([self.stations[number]], ids or list(FIELDS))
            case ["change" | "clear" | "remove" | "display" | "status", *_]:
                said = ["e1 00000000 2a06 Extension not assigned"]
            case _:
                said = [f"eERROR 00000000 1cf {words[:1]} is an invalid entry; please press HELP"]
        return "".join(f"{line}\r\n" for line in (f"c{command}", *said, "t")).encode("utf-8", "surrogateescape")

    def _hear(self, command: str, ids: Sequence[str], values: Sequence[str]) -> None:
        asked = ["8005ff00", "8003ff00", "004fff00"]
        match command.split():
            case ["list", "station", "count", _] if ids == asked and not values:
                self.heard.append("stations")
            case ["list", "station", _, "count", _] if ids == asked and not values:
                self.heard.append("stations-from")
            case ["change", "station", _] if ids == ["8003ff00"] and len(values) == 1:
                self.heard.append("rename")
            case ["clear", "amw", "all", _] if not ids:
                self.heard.append("clear-messages")
            case ["remove", "station", _] if not ids:
                self.heard.append("remove")
            case ["logoff"]:
                pass
            case ["list", "station"] if ids == asked and not values:
                self.heard.append("look")
            case _ if command != "list station" and find(command, AVAYA) is not None and not ids and not values:
                self.heard.append("look")
            case _:
                self.heard.append(repr((command, list(ids), list(values))))

    def _status(self, one: Station) -> list[str]:
        """More fields than fit a row, most of them empty; ids are invented, the form's own are not public."""
        ids = ["8005ff00", *(f"6f{number:02d}ff00" for number in range(1, 20))]
        values = [one.extension, one.kind, "S00042", "", "in-service/idle", *[""] * 14, "no"]
        parts = [(ids[at : at + 7], values[at : at + 7]) for at in range(0, len(ids), 7)]
        said = ["f" + "\t".join(part) for part, _ in parts]
        return said + ["d" + "\t".join(part).rstrip("\t") for _, part in parts]

    def _list(self, rest: Sequence[str], ids: Sequence[str]) -> list[str]:
        found = list(self.stations.values())
        if self.sorts:
            found.sort(key=lambda one: one.extension)
        begin = 0
        if rest and rest[0] != "count":
            begin = bisect_left(found, rest[0], key=lambda one: one.extension)
            rest = rest[1:]
        found = found[begin : begin + int(rest[1])] if rest else found[begin:]
        return self._told(found, ids or list(FIELDS)) if found else [NO_RECORDS]

    def _told(self, found: Sequence[Station], ids: Sequence[str]) -> list[str]:
        parts = [ids[at : at + self.a_line] for at in range(0, len(ids), self.a_line)]
        said = ["f" + "\t".join(part) for part in parts]
        for number, one in enumerate(found):
            said += ["n"] if number else []
            said += ["d" + "\t".join(getattr(one, FIELDS[i]) for i in part).rstrip("\t") for part in parts]
        return said

    def _change(self, one: Station, values: dict[str, str]) -> list[str]:
        if len(values.get("8003ff00", "")) > 27 or not set(values) <= set(FIELDS):
            return ["e1 00000000 2a11 Entry is too long"]
        for key, value in values.items():
            setattr(one, FIELDS[key], "" if value == " " else value)
        return []

    def _remove(self, number: str) -> list[str]:
        if self.stations[number].lamps:
            return ["e1 00000000 2a30 Message lamp is on; clear it first"]
        if number in self.in_use:
            return ["e1 00000000 2a31 Object in use; please try later"]
        del self.stations[number]
        return []


class _Server(asyncssh.SSHServer):
    """Asks for a password as the phone system does: by a question."""

    def begin_auth(self, username: str) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        self._login = username
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return (username, list(responses)) == (LOGIN, [PASSWORD])


async def _terminal(cm: Cm, process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stdout.write(b"\r\nThis system is restricted\r\n" + TERMINALS.encode())
    if (await process.stdin.readline()).strip() not in (b"ossi4", b"ossie") or process.term_type != "vt100":
        process.exit(1)
        return
    process.stdout.write(b"\r\n\r\nt\r\n")
    lines: list[str] = []
    async for raw in process.stdin:
        line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
        if line != "t":
            lines.append(line)
            continue
        if lines == ["clogoff"]:
            break
        said = cm.answer(lines)
        writes = any(line.startswith(("cchange", "cremove", "cclear")) for line in lines)
        lines.clear()
        if cm.enemy is not None:
            await cm.enemy(process, said)
            continue
        process.stdout.write(cm.twist("write" if writes else "look", said) if cm.twist is not None else said)
        await process.stdout.drain()
    process.exit(0)


@asynccontextmanager
async def running(cm: Cm, key: asyncssh.SSHKey, **options: object) -> AsyncIterator[asyncssh.SSHAcceptor]:
    """On a free port of loopback."""

    async def terminal(process: asyncssh.SSHServerProcess[bytes]) -> None:
        with suppress(OSError, asyncssh.Error, asyncio.IncompleteReadError):
            await _terminal(cm, process)

    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], server_factory=_Server, process_factory=terminal, encoding=None,
        line_editor=False, **options,
    )  # fmt: skip
    try:
        yield server
    finally:
        server.close()

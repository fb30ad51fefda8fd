"""The lab itself: an SSH server with a forced helper and an Asterisk-like prompt, and a SIP registrar.

The helper (JSON lines on `lab-helper`) never returns a secret whatever it is asked. The prompt (`rx COMMAND`) answers
as Asterisk's does in captures of a live 22.10.1 and, like the real one, would also print secrets when asked for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from connectors.console import ASTERISK, find
from connectors.guard import fingerprint
from connectors.lab import hostile, prompt
from connectors.lab.logins import LoginRecord
from connectors.lab.sip import Registrar
from connectors.lab.store import LabStore

LOGIN = "frameroom"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _answer(store: LabStore, request: dict[str, Any]) -> dict[str, Any]:
    """One request of the helper: {"do", …} → {"ok": true, …} or {"error": code}."""
    do, person_id = request.get("do"), str(request.get("id", ""))
    person = store.get(person_id)
    if do == "hello":
        return {"ok": True, "version": 1}
    if do == "page":
        return {"ok": True, "people": store.page(request.get("cursor"), min(int(request["limit"]), 500))}
    if do == "find":
        words = str(request["words"]).casefold().split()
        return {"ok": True, "people": store.find(words, min(int(request["limit"]), 100))}
    if do == "named":
        return {"ok": True, "people": store.named(set(map(str, request["names"])))}
    if person is None:
        return {"error": "not-found"}
    if do == "view":
        return {"ok": True, "person": person}
    if do == "devices":
        return {"ok": True, "devices": store.contacts(person_id)}
    if do in {"alter", "remove"}:
        expected = request["expected"]
        if any(fingerprint(_frozen(person[key])) != expected[key] for key in expected):
            return {"error": "conflict"}
        if do == "alter":
            if store.taken(person_id, request["values"].get("ddis", [])):
                return {"error": "taken"}
            store.alter(person_id, request["values"])
        else:
            store.remove(person_id)
        return {"ok": True}
    if do == "reset" and request.get("kind") in {"voicemail", "sip", "portal"}:
        store.reset(person_id, str(request["kind"]), str(request["secret"]))
        return {"ok": True}
    return {"error": "refused"}


class _Server(asyncssh.SSHServer):
    def __init__(self, record: LoginRecord) -> None:
        self._record = record
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember whose this is."""
        self._connection = conn

    def auth_completed(self) -> None:
        """Somebody is in: it stands in the record before they can ask anything."""
        if self._connection is not None:
            address, port = self._connection.get_extra_info("peername")[:2]
            self._connection.set_extra_info(login=self._record.add(address, port))

    def begin_auth(self, username: str) -> bool:
        """Everybody must prove a key."""
        return True

    def public_key_auth_supported(self) -> bool:
        """By key alone."""
        return True


@dataclass(slots=True)
class Lab:
    """A running lab. `host_key` is its public key as one line, `client_key` the private key it lets in."""

    store: LabStore
    ssh_port: int
    sip_port: int
    host_key: str
    client_key: str
    record: LoginRecord
    faults: set[str]
    """Test switches: those of `faults`, and "close-after-write", "silent", "refuse"."""
    acceptor: asyncssh.SSHAcceptor
    """Takes another host key while it runs."""
    heard: deque[str]
    """What it was asked, by the name of the request; one that its connector has none for, in its own words."""
    cut: asyncio.Queue[str]
    """Lines at the prompt of which whoever asked did not wait for the end, as that is noticed."""


def template_of(line: str) -> str:
    """The request under which the connector may send this line to the prompt; the line itself where there is none."""
    found = find(line, ASTERISK)
    return line if found is None else found[0].kind.value


def _keys(folder: Path) -> tuple[asyncssh.SSHKey, asyncssh.SSHKey]:
    keys = []
    for name in ("lab_host", "lab_client"):
        path = folder / name
        if not path.exists():
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(path))
            path.chmod(0o600)
        keys.append(asyncssh.read_private_key(str(path)))
    return keys[0], keys[1]


@asynccontextmanager
async def start(folder: Path, *, people: int | Iterable[dict[str, Any]] = 40) -> AsyncIterator[Lab]:
    """A lab on free loopback ports; its files are in `folder` and survive."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240
    store = LabStore(folder / "people.json", people)
    host_key, client_key = _keys(folder)
    faults: set[str] = set()
    heard: deque[str] = deque(maxlen=100_000)
    cut: asyncio.Queue[str] = asyncio.Queue()
    record = LoginRecord(folder / "ssh-logins.jsonl")

    async def process(channel: asyncssh.SSHServerProcess[bytes]) -> None:
        command = channel.command or ""
        # Whoever hangs up in the middle ends a channel, not the lab's other ones.
        with contextlib.suppress(OSError, asyncssh.Error):
            if command == "lab-helper":
                await _helper(channel, store, record, faults, heard)
            elif command.startswith("rx "):
                known = template_of(command[3:])
                heard.append(command if known == command[3:] else known)
                await _prompt(channel, store, command[3:], faults, cut)
            else:
                heard.append(command)
            channel.exit(0)

    allowed = asyncssh.import_authorized_keys(client_key.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        server_factory=lambda: _Server(record),
        process_factory=process,
        authorized_client_keys=allowed,
        encoding=None,
        line_editor=False,
    )
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Registrar(store), local_addr=("127.0.0.1", 0))
    try:
        yield Lab(
            store,
            server.get_port(),
            transport.get_extra_info("sockname")[1],
            host_key.export_public_key().decode().strip(),
            client_key.export_private_key().decode(),
            record,
            faults,
            server,
            heard,
            cut,
        )
    finally:
        server.close()
        transport.close()


async def _prompt(
    channel: asyncssh.SSHServerProcess[bytes], store: LabStore, line: str, faults: set[str], cut: asyncio.Queue[str]
) -> None:
    """One line's answer, in pieces large enough for bulk."""
    waiting: list[str] = []
    try:
        for count, piece in enumerate(prompt.answer(store, line)):
            waiting.append(piece)
            if count % 100 == 99:
                channel.stdout.write("".join(waiting).encode("utf-8", "replace"))
                waiting.clear()
                await channel.stdout.drain()
        channel.stdout.write("".join(waiting).encode("utf-8", "replace"))
        await channel.stdout.drain()
        if "hanging-prompt" in faults:
            await channel.wait_closed()
            raise BrokenPipeError
    except (OSError, asyncssh.Error):
        cut.put_nowait(line)
        raise


def _of_logins(
    channel: asyncssh.SSHServerProcess[bytes], record: LoginRecord, request: dict[str, Any]
) -> dict[str, Any] | None:
    """The answer to a question about logins; None for any other."""
    match request.get("do"):
        case "login":
            return {"ok": True, "login": channel.channel.get_connection().get_extra_info("login")}
        case "logins":
            return {"ok": True} | record.since(int(request["since"]))
    return None


async def _helper(
    channel: asyncssh.SSHServerProcess[bytes],
    store: LabStore,
    record: LoginRecord,
    faults: set[str],
    heard: deque[str],
) -> None:
    async for line in channel.stdin:
        heard.append(hostile.named(line))
        if "silent" in faults:
            await asyncio.Event().wait()
        number = None
        try:
            request = json.loads(line)
            number = request.get("n")
            writes = request.get("do") in {"alter", "remove", "reset"}
            if writes and "refuse" in faults:
                answer = {"error": "refused"}
            else:
                answer = _of_logins(channel, record, request) or _answer(store, request)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            answer, writes = {"error": "malformed"}, False
        if writes and "close-after-write" in faults:
            channel.channel.get_connection().abort()
            return
        data = hostile.spoilt(answer | {"n": number}, faults, store, str(request.get("id")) if writes else None)
        if not await hostile.say(channel, data, faults):
            return

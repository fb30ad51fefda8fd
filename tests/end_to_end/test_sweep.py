"""Invariant 4 over a whole story: whatever Frameroom writes, sends or holds is searched for every password.

The values are known: the lab's canaries, what the resets generated, and the keys of the links. They are looked for as
text, hex, UTF-16 and base64; what is sealed or compressed is opened first.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pyrage
import pytest
from sqlalchemy import select

from audit.recording.player import Player
from audit.tables import logs
from config import load as loading
from connectors.lab import sip
from gateway.store.tables import metadata, sessions
from gateway.wiring.parts import parts
from tests.end_to_end.separate import Separate, found_in, needles, separate
from tests.support.children import children_of, memory
from tests.support.need import need_tool
from tests.support.postgres import Postgres

STORY = (
    ("find grace", 0),
    ("show 2001", 0),
    ("users", 0),
    ("reset 2001 voicemail --yes", 0),
    ("reset 2001 sip --phones-will-drop --yes", 0),
    ("reset 2002 portal --yes", 0),
    ("set 2001 email=new@customer.example", 0),
    ("reset 2001 sip --phones-will-drop --yes", 0),
    ("diag pjsip show endpoints", 0),
    ("diag pjsip show auth 2001", 2),
    ("diag database show", 2),
)


@dataclass
class Swept:
    """What is looked for, and what was found where."""

    wanted: list[bytes]
    leaks: list[str] = field(default_factory=list)
    places: int = 0
    size: int = 0

    def look(self, place: str, data: bytes) -> None:
        """Search one place."""
        self.places += 1
        self.size += len(data)
        # Never the value itself: a failing test is written down too.
        self.leaks += [f"{place}: a form of {len(needle)} bytes" for needle in found_in(data, self.wanted)]

    def look_through(self, places: Iterator[tuple[str, bytes]]) -> None:
        """Search many."""
        for place, data in places:
            self.look(place, data)


@pytest.fixture(params=["sqlite", "postgresql"])
def own_server(request: pytest.FixtureRequest) -> Iterator[Postgres | None]:
    """A server of its own: every file of it is searched, and the one that all tests share holds others' databases."""
    if request.param == "sqlite":
        yield None
        return
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def story(own_server: Postgres | None, tmp_path: Path) -> AsyncIterator[tuple[Separate, Postgres | None, str]]:
    need_tool("ssh", "openssh-client")
    database = own_server.create_database() if own_server else None
    ready: asyncio.Future[Separate] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    # One task enters and leaves it, as its task groups want; a fixture's two halves may run in different ones.
    async def hold() -> None:
        async with separate(tmp_path, database) as running:
            ready.set_result(running)
            await over.wait()

    task = asyncio.ensure_future(hold())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    yield ready.result(), own_server, database[0] if database else ""
    over.set()
    await task


async def test_4_no_password_is_ever_readable(story: tuple[Separate, Postgres | None, str], tmp_path: Path) -> None:
    here, server, owner = story
    old = here.secrets()
    generated, keys = await _play(here)
    (link,) = [mail for mail in await here.mail_with("This link shows it once", 4) if keys[0].decode() in mail][:1]
    await _open(link)
    canaries = [b"CANARY-sip-20", b"CANARY-portal-20", *(old[e]["pin"].encode() for e in ("2001", "2002"))]
    swept = Swept(needles([*canaries, *generated, *keys, *(base64.urlsafe_b64decode(k + b"=") for k in keys)]))
    assert found_in((here.lab / "people.json").read_bytes(), swept.wanted), "the search itself does not find"

    swept.look("terminal", "".join(here.said).encode())
    swept.look("metrics", await asyncio.to_thread(_metrics, here))
    _sweep_memory(here, swept)
    delivered = [mail for mail in here.mails() if "This link shows it once" in mail]
    await here.leave()
    await here.mail_with("What was done", 1)
    swept.look("mail", "\n".join(mail for mail in here.mails() if mail not in delivered).encode())
    # Of the one mail that carries a link: the key, which is its purpose, and no password.
    swept.leaks += [f"the delivery: {len(n)} bytes" for n in found_in("".join(delivered).encode(), needles(generated))]
    await _backup(here, tmp_path, swept, sqlite=not owner)
    here.gateway.terminate()
    await here.gateway.wait()
    swept.look("what the process said", (tmp_path / "told.log").read_bytes())
    await _sweep_opened(here, swept)
    swept.look_through((str(f), f.read_bytes()) for f in here.folder.rglob("*") if f.is_file())
    if server is not None:
        swept.look_through(_tables(owner))
        swept.look_through(_server_files(server))
    assert swept.leaks == []
    assert swept.places > 50
    assert b"Traceback" not in (tmp_path / "told.log").read_bytes()


async def _play(here: Separate) -> tuple[list[bytes], list[bytes]]:
    """The story: what the resets generated, and the keys of the links as they stand in the mails."""
    await here.permit("find,list-all,view,alter,reset-voicemail,reset-sip,reset-portal,diag")
    generated: list[bytes] = []
    for command, code in STORY:
        before = here.secrets()
        assert await here.run(command) == code, here.said[-1]
        changed = [
            value.encode() for e, kinds in here.secrets().items() for k, value in kinds.items() if value != before[e][k]
        ]
        assert len(changed) == command.startswith("reset"), command
        generated += changed
    new_sip, old_sip = generated[3].decode(), generated[1].decode()
    port = int(here.lab_state["sip_port"])
    assert await asyncio.to_thread(sip.register, "127.0.0.1", port, "2001", old_sip, 0) == 401
    assert await asyncio.to_thread(sip.register, "127.0.0.1", port, "2001", new_sip, 0) == 200
    assert sorted(map(len, generated)) == [10, 20, 20, 20]
    mails = await here.mail_with("This link shows it once", 4)
    found = [re.search(r"/s/lnk_[0-9a-f]{24}#([\w-]{43})", mail) for mail in mails]
    return generated, [match[1].encode() for match in found if match]


async def _open(mail: str) -> None:
    """The click: the ciphertext passes through the gateway, and its memory must not tell what is in it."""
    link = re.search(r"(http\S+)#", mail)
    assert link
    parts_of = urlsplit(link[1])
    click = urllib.request.Request(
        f"{link[1]}/open", data=b"", headers={"Origin": f"{parts_of.scheme}://{parts_of.netloc}"}
    )

    def opened() -> int:
        with urllib.request.urlopen(click) as answer:
            return int(answer.status)

    assert await asyncio.to_thread(opened) == 200


def _metrics(here: Separate) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{here.ops_port}/metrics") as answer:
        return bytes(answer.read())


def _sweep_memory(here: Separate, swept: Swept) -> None:
    """The gateway's and the fork server's; other people's memory is root's alone to read, and theirs is that."""
    gateway = here.gateway.pid
    processes = [gateway, *children_of(gateway)]
    assert len(processes) >= 2, "the fork server is not there"
    lab = int(here.lab_state["pid"])
    assert any(found_in(data, swept.wanted) for _, data in memory(lab)), "the search of memory itself does not find"
    for pid in processes:
        if os.geteuid() == 0:
            swept.look(f"command line of {pid}", Path(f"/proc/{pid}/cmdline").read_bytes())
            swept.look(f"environment of {pid}", Path(f"/proc/{pid}/environ").read_bytes())
            before = swept.size
            swept.look_through(memory(pid))
            assert swept.size - before > 1_000_000, "its memory was not read"
        else:
            with pytest.raises(PermissionError):
                list(memory(pid))


async def _backup(here: Separate, folder: Path, swept: Swept, *, sqlite: bool) -> None:
    """As the operator makes it, and as whoever holds the offline key would read it."""
    identity = pyrage.x25519.Identity.generate()
    (folder / "identity.txt").write_text(str(identity))
    (folder / "identity.txt").chmod(0o600)
    file = folder / "backup.age"
    await here.frameroom("backup", str(file), "--to", str(identity.to_public()))
    swept.look("backup as it lies there", file.read_bytes())
    if sqlite:
        restored = folder / "restored"
        await here.frameroom("restore", str(file), str(restored), "--identity", str(folder / "identity.txt"))
        swept.look_through((f"restored {f.name}", f.read_bytes()) for f in restored.rglob("*") if f.is_file())


async def _sweep_opened(here: Separate, swept: Swept) -> None:
    """Recordings decrypted, and every event with its sealed fields opened."""
    async with parts(loading.load(here.config, {})) as opened:
        async with opened.store.look_at_everyone() as scope:
            names = list((await scope.execute(select(logs.c.log_id))).scalars())
            visits = (await scope.execute(select(sessions.c.customer_id, sessions.c.id))).all()
        assert len(visits) == 1
        for customer, session in visits:
            frames = list(Player(opened.objects, opened.keys, customer, session).frames())
            shown = b"".join(frame.data for frame in frames)
            assert b"Grace Okonkwo" in shown
            swept.look("recording", shown)
        for log in names:
            async with opened.store.look(log) as scope:
                rows = await opened.audit.read(scope.connection, log, limit=100_000)
                for row in rows:
                    told = await opened.audit.personal(scope.connection, row)
                    swept.look(f"event {log} {row.seq}", row.entry + repr(told).encode())


def _tables(owner: str) -> Iterator[tuple[str, bytes]]:
    """Every table as text, read by the role that owns them, past row-level security."""
    with psycopg.connect(owner) as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(f'select t::text from "{table.name}" t').fetchall()  # noqa: S608 - our own names
            yield f"table {table.name}", "\n".join(row[0] for row in rows).encode()


def _server_files(server: Postgres) -> Iterator[tuple[str, bytes]]:
    """The server's own folder with its write-ahead log."""
    with psycopg.connect(server.url("postgres", "owner"), autocommit=True) as connection:
        connection.execute("checkpoint")
    for file in server.data.rglob("*"):
        if file.is_file():
            yield f"server's {file.name}", file.read_bytes()

"""What a thief gets, tried: database and its WAL, objects, keyring, configuration, backups, mails, each and together.

Without the master key nothing sealed opens. What stands in clear in the database (contacts, requests, mail that
waits) is said in SECURITY.md, and is not what is looked for here.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, LargeBinary

from audit.masters import MasterKeys
from audit.sealing import FileKeyStore, FileMasterKey, MasterKeyAway, SealingError, open_sealed
from config import load as loading
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.errors import NotFoundError, UnavailableError
from gateway.identity.sign_ins import SignIns
from gateway.store.tables import metadata
from gateway.wiring import backup
from gateway.wiring.admin import Admin
from gateway.wiring.duties import passkeys_of, readings_of, ways_to_read
from gateway.wiring.masters import open_masters, reaching
from tests.end_to_end.separate import found_in, needles
from tests.end_to_end.test_link import fetch, origin_of
from tests.end_to_end.test_master_key import in_token, token
from tests.support.openid import CLIENT, SECRET, RealProvider
from tests.support.token import SoftToken, make_token

__all__ = ["in_token", "token"]

PERSON = "Graciela Bellweather"
HOOK = "a-webhook-token-of-kate"
SEALED = {
    "systems.credential": "credential", "engineers.totp_sealed": "one-time code", "payloads.sealed": "payload",
    "links.sealed": "link", "channels.sealed": "channel", "oidc_providers.secret": "client secret",
    "reading_codes.sealed": "reading code", "reading_rows.sealed": "person read",
}  # fmt: skip
"""Columns that hold what is sealed, and what that is called here."""
OPEN = {"entries.entry", "entries.leaf_hash", "logs.frontier"}
"""Columns of bytes that are the log itself, and are published."""


@dataclass(frozen=True, slots=True)
class Loot:
    """A copy of a deployment's folder, and what its owner would not have anybody read."""

    folder: Path
    wanted: list[bytes]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def sealed(self) -> Iterator[tuple[str, bytes, bytes]]:
        """(what, additional data, sealed) of everything that the database holds sealed."""
        with sqlite3.connect(self.data / "frameroom.db") as database:
            for customer, system, held in database.execute("select customer_id, id, credential from systems"):
                yield "credential", f"vault\0credential:{customer}:{system}".encode(), held
            for engineer, held in database.execute("select id, totp_sealed from engineers where totp_sealed not null"):
                yield "one-time code", f"vault\0totp:{engineer}".encode(), held
            for event, key_id, held in database.execute("select event_id, key_id, sealed from payloads"):
                yield "payload", f"payload\0{event}\0{key_id}".encode(), held
            for link, held in database.execute("select id, sealed from links where sealed not null"):
                yield "link", link.encode(), held
            for customer, channel, held in database.execute("select customer_id, id, sealed from channels"):
                yield "channel", f"vault\0channel:{customer}:{channel}".encode(), held
            for customer, provider, held in database.execute("select customer_id, id, secret from oidc_providers"):
                yield "client secret", f"vault\0oidc:{customer}:{provider}".encode(), held
            for customer, approver, held in database.execute("select customer_id, id, sealed from reading_codes"):
                yield "reading code", f"vault\0reading code:{customer}:{approver}".encode(), held
            for customer, row, held in database.execute("select customer_id, id, sealed from reading_rows"):
                yield "person read", f"vault\0reading:{customer}:{row}".encode(), held

    def keys(self) -> Iterator[bytes]:
        """Whatever in the loot could be a key: each 32 bytes of each small file."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.stat().st_size <= 4096:
                held = path.read_bytes()
                yield from (held[start : start + 32] for start in range(max(0, len(held) - 31)))

    def yields_nothing(self) -> None:
        """No value stands anywhere in it, and no sealed one opens with anything that is in it."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert any(path.name.endswith("-wal") for path in files), "the WAL belongs to the loot"
        assert any("recordings" in path.parts for path in files)
        assert any("keyring" in path.parts for path in files)
        for path in files:
            assert found_in(path.read_bytes(), self.wanted) == [], path
        held = list(self.sealed())
        assert {what for what, _, _ in held} == {*SEALED.values()}
        # One of each kind, against every key that a thief could try.
        samples = {what: (context, sealed) for what, context, sealed in held}
        keys = {*self.keys()}
        assert len(keys) > 500
        for key in keys:
            for what, (context, sealed) in samples.items():
                with pytest.raises(InvalidTag):
                    AESGCM(key).decrypt(sealed[:12], sealed[12:], context)
                assert what


async def furnished(demo: Demo, ssh: Master) -> list[bytes]:
    """A visit that altered, reset and was recorded; the values that it left sealed somewhere."""
    await permit(demo, "find,view,alter,reset-sip")
    assert (await ssh.run(f"set 2001 name='{PERSON}'")).code == 0
    assert (await ssh.run("reset 2002 sip --phones-will-drop --yes")).code == 0
    await demo.mails.wait_for("This link shows it once")
    (visit,) = await demo.admin("session list")
    await demo.admin("session kill", session=visit["id"], reason="a test")
    await demo.admin("channel add", customer=CUSTOMER, person="Kate Brook", name="Work", kind="approver",
                     address=f"jsons://hooks.example/{HOOK}")  # fmt: skip
    code = await _ways_to_read(demo)
    people = json.loads((demo.folder / "lab" / "people.json").read_text())
    private = "".join(demo.lab.client_key.split("\n")[1:-2])
    return needles([demo.totp.encode(), private.encode(), people["2002"]["sip"].encode(), HOOK.encode(),
                    code.encode(), SECRET.encode()])  # fmt: skip


async def _ways_to_read(demo: Demo) -> str:
    """A provider of the customer's, an approver's codes (whose secret this is), and the people read for addresses."""
    customer = (await demo.admin("customer show", customer=CUSTOMER))["id"]
    kate = next(
        row["id"] for row in await demo.admin("approver list", customer=CUSTOMER) if row["name"] == "Kate Brook"
    )
    provider = RealProvider(demo.folder / "provider.json")
    async with provider.running():
        await demo.admin(
            "customer oidc set", customer=CUSTOMER, name="Brook account", issuer=provider.issuer, client_id=CLIENT,
            secret=SECRET, domains=["customer.example"],
        )  # fmt: skip
    provider.file.unlink(missing_ok=True)  # the provider's own, which knows its secret
    parts = demo.app.parts
    system = (await demo.admin("system list"))[0]["id"]
    assert await readings_of(parts).read(customer, kate, system) == 40
    sign_ins = SignIns(parts.store, parts.audit, parts.vault, passkeys_of(parts), 12)
    *_, codes = ways_to_read(parts, sign_ins)
    return await codes.offer(customer, kate)


def test_whatever_holds_bytes_is_tried_here_or_is_the_log() -> None:
    """A new column that seals something has to be stolen too."""
    held = {str(column) for table in metadata.tables.values() for column in table.c if _of_bytes(column)}
    assert held == SEALED.keys() | OPEN


def _of_bytes(column: Column[Any]) -> bool:
    return isinstance(column.type, LargeBinary)


def steal(demo: Demo, into: Path, *without: str) -> Path:
    """A copy of the deployment as a thief has it, `without` these."""
    shutil.copytree(demo.folder / "data", into / "data", ignore=shutil.ignore_patterns("*.sock", "lock", *without))
    shutil.copy(demo.folder / "frameroom.toml", into)
    return into


async def test_database_objects_and_keyring_without_the_master_key(demo: Demo, ssh: Master, tmp_path: Path) -> None:
    wanted = await furnished(demo, ssh)
    loot = Loot(steal(demo, tmp_path / "stolen", "keys"), wanted)
    loot.yields_nothing()
    parts = demo.app.parts
    for what, context, held in loot.sealed():  # here all of it opens, but for the link, whose key is in the mail
        if what in {"credential", "one-time code", "channel", "client secret", "reading code", "person read"}:
            parts.vault.open(context.removeprefix(b"vault\0").decode(), held)
        elif what == "payload":
            _, _, key_id = context.decode().split("\0")
            logs = [_customer(demo), "_operator"]
            opened = [log for log in logs if parts.keys.has(log, key_id) and open_sealed(
                parts.keys.get(log, key_id), context, held)]  # fmt: skip
            assert opened
    # A thief's own master key does not even find out which file is whose.
    with pytest.raises(SealingError):
        FileKeyStore(loot.data / "keyring", FileMasterKey.create(tmp_path / "another.key"))
    # What the log seals stands nowhere in the clear, in any table that has to do with it.
    with sqlite3.connect(loot.data / "frameroom.db") as database:
        for table in ("entries", "payloads", "links", "directory", "systems", "reading_rows"):
            rows = database.execute(f"select * from {table}").fetchall()  # noqa: S608 - names from the line above
            assert all("Graciela" not in str(row) for row in rows), table
    for path in (loot.data / "objects").rglob("*"):
        assert not path.is_file() or b"Graciela" not in path.read_bytes()


def _customer(demo: Demo) -> str:
    with sqlite3.connect(demo.settings.storage.data_dir / "frameroom.db") as database:
        return str(database.execute("select id from customers where name = ?", (CUSTOMER,)).fetchone()[0])


async def test_everything_but_the_token(
    demo: Demo, ssh: Master, in_token: set[str], token: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys folder, configuration and PIN are in the loot too."""
    wanted = await furnished(demo, ssh)
    loot = Loot(steal(demo, tmp_path / "stolen"), wanted)
    shutil.copy(token.pin_file, loot.folder / "pin")
    assert (loot.data / "keys" / "masters.json").exists()
    loot.yields_nothing()
    keys = loading.load(loot.folder / "frameroom.toml", {}).keys
    token.tokens.rename(tmp_path / "not the thief's")
    token.tokens.mkdir()
    with pytest.raises(UnavailableError, match="there is no token"):
        await asyncio.to_thread(open_masters, loot.data / "keys", keys)
    # A token of the thief's own, with the same labels and the same PIN.
    shutil.rmtree(token.tokens)
    shutil.rmtree(tmp_path / "thief", ignore_errors=True)
    own = make_token(tmp_path / "thief")
    own.make_key()
    monkeypatch.setenv("SOFTHSM2_CONF", own.environment["SOFTHSM2_CONF"])
    with pytest.raises(MasterKeyAway, match="is not the master key"):
        await asyncio.to_thread(MasterKeys, loot.data / "keys", reaching(loot.data / "keys", keys))


async def test_a_key_that_was_retired_opens_nothing_that_is_stolen_later(
    demo: Demo, ssh: Master, tmp_path: Path
) -> None:
    old = FileMasterKey.load(demo.settings.storage.data_dir / "keys" / "master.key")
    await demo.admin("keys rewrap", config=str(demo.folder / "frameroom.toml"))
    await demo.admin("keys retire")
    wanted = await furnished(demo, ssh)
    loot = Loot(steal(demo, tmp_path / "stolen", "keys"), wanted)
    with pytest.raises(SealingError):
        FileKeyStore(loot.data / "keyring", old)
    for path in FileKeyStore.files(demo.app.parts.keys):
        with pytest.raises(SealingError):
            old.unwrap(path.name.encode(), path.read_bytes())


async def test_backups_without_the_identity_and_records_without_keys(demo: Demo, ssh: Master, tmp_path: Path) -> None:
    wanted = await furnished(demo, ssh)
    identity, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    config = (demo.folder / "frameroom.toml").read_text()
    kinds = {
        "all": backup.PARTS,
        "records": tuple(part for part in backup.PARTS if part not in backup.KEYS),
        "keys": backup.KEYS,
    }
    for name, what in kinds.items():
        file = tmp_path / f"{name}.age"
        await backup.write(demo.app.parts, file, (str(identity.to_public()),), what, config)
        sealed = file.read_bytes()
        assert found_in(sealed, [*wanted, PERSON.encode(), b"frameroom-master-key", b"PRIVATE KEY"]) == []
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(sealed, [other])
    # Whoever has the identity, but of the two backups only the records, has no key of anything.
    plain = pyrage.decrypt((tmp_path / "records.age").read_bytes(), [identity])
    unpacked = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(plain)).read()
    assert found_in(unpacked, wanted) == []
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        assert {name.split("/")[0] for name in tar.getnames()} <= {
            "database", "objects", "frameroom.json", "frameroom.toml", "end.json",
        }  # fmt: skip


async def test_every_mail_that_was_sent(demo: Demo, ssh: Master) -> None:
    """A mailbox holds links that were used, and neither a password nor a key of anything else."""
    wanted = await furnished(demo, ssh)
    link = re.search(r"(http\S+)#", await demo.mails.wait_for("This link shows it once"))
    assert link
    status, _, _ = await asyncio.to_thread(fetch, f"{link[1]}/open", b"", origin_of(link[1]))
    assert status == 200
    again, _, _ = await asyncio.to_thread(fetch, f"{link[1]}/open", b"", origin_of(link[1]))
    assert again == 410
    for mail in demo.mails.caught:
        assert found_in(mail["text"].encode(), wanted) == []
    # Mailbox and database together: what was opened is not there to be opened again.
    with sqlite3.connect(demo.settings.storage.data_dir / "frameroom.db") as database:
        assert database.execute("select count(*) from links where sealed not null").fetchone() == (0,)


async def test_search_finds_a_person_by_any_name_and_no_other(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view,alter")
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    assert (await ssh.run("show 2001")).code == 0
    assert (await ssh.run("show 2002")).code == 0
    admin = Admin(demo.app.parts, demo.app)
    given = {"why": "a test", "customer": CUSTOMER}
    found = await admin.call("audit search", "tom", {**given, "subject": "Graciela Bellweather"})
    # Each look for somebody is one of the entries about them, and found by the next.
    by_number = await admin.call("audit search", "tom", {**given, "subject": "2001"})
    assert [row["cursor"] for row in found] == [r["cursor"] for r in by_number if r["kind"] != "looked.audit"]
    assert [row["kind"] for row in found].count("operation.done") == 2
    assert all(row["kind"].startswith("operation.") for row in found)
    first = await admin.call("audit search", "tom", {**given, "subject": "2001", "limit": 1})
    rest = await admin.call("audit search", "tom", {**given, "subject": "2001", "after": first[0]["cursor"]})
    told = [row["cursor"] for row in first + rest if row["kind"] != "looked.audit"]
    assert told == [row["cursor"] for row in found]
    with pytest.raises(NotFoundError):
        await admin.call("audit search", "tom", {**given, "subject": "Nobody Whatever"})

"""A database, its objects and keyring in the wrong hands: without the master key nothing sealed opens."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from audit.sealing import FileKeyStore, FileMasterKey, KeyMissing, SealingError, open_sealed
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.errors import NotFoundError
from gateway.vault import Vault
from gateway.wiring.admin import Admin


async def test_what_is_stolen_opens_nothing_without_the_master_key(demo: Demo, ssh: Master, tmp_path: Path) -> None:
    await permit(demo, "find,view,alter")
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    (visit,) = await demo.admin("session list")
    await demo.admin("session kill", session=visit["id"], reason="a test")
    data = demo.settings.storage.data_dir
    stolen = tmp_path / "stolen"
    shutil.copytree(data, stolen, ignore=shutil.ignore_patterns("keys", "*.sock", "lock", "journal"))

    log = demo.app.parts
    with sqlite3.connect(stolen / "frameroom.db") as database:
        credentials = database.execute("select customer_id, id, credential from systems").fetchall()
        sealed = database.execute("select log_id, event_id, key_id, sealed from payloads").fetchall()
    assert len(sealed) > 5
    other = FileMasterKey.create(tmp_path / "another.key")
    for customer, system, credential in credentials:
        log.vault.open_credential(customer, system, credential)  # here it opens
        with pytest.raises(SealingError):
            Vault(other).open_credential(customer, system, credential)
    keyring = FileKeyStore(stolen / "keyring", other)
    for customer, event, key_id, data_ in sealed:
        context = f"payload\0{event}\0{key_id}".encode()
        open_sealed(log.keys.get(customer, key_id), context, data_)  # here it opens
        with pytest.raises(KeyMissing):  # not even the file of a key is found
            keyring.get(customer, key_id)
    for path in [path for path in stolen.rglob("*") if path.is_file()]:
        raw = path.read_bytes()
        for form in ("utf-8", "utf-16-le"):
            assert "Graciela Bellweather".encode(form) not in raw or path.name.startswith("frameroom.db"), path
    # The directory, requests and mail that waits stand in clear in the database; what the log seals does not.
    with sqlite3.connect(stolen / "frameroom.db") as database:
        for table in ("entries", "payloads", "links", "directory", "systems"):
            rows = database.execute(f"select * from {table}").fetchall()  # noqa: S608 - names from the line above
            assert all("Graciela" not in str(row) for row in rows), table


async def test_search_finds_a_person_by_any_name_and_no_other(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view,alter")
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    assert (await ssh.run("show 2001")).code == 0
    assert (await ssh.run("show 2002")).code == 0
    admin = Admin(demo.app.parts, demo.app)
    given = {"why": "a test", "customer": CUSTOMER}
    found = await admin.call("audit search", "tom", {**given, "subject": "Graciela Bellweather"})
    by_number = await admin.call("audit search", "tom", {**given, "subject": "2001"})
    assert [row["cursor"] for row in found] == [row["cursor"] for row in by_number]
    assert [row["kind"] for row in found].count("operation.done") == 2
    assert all(row["kind"].startswith("operation.") for row in found)
    first = await admin.call("audit search", "tom", {**given, "subject": "2001", "limit": 1})
    rest = await admin.call("audit search", "tom", {**given, "subject": "2001", "after": first[0]["cursor"]})
    assert [row["cursor"] for row in first + rest] == [row["cursor"] for row in found]
    with pytest.raises(NotFoundError):
        await admin.call("audit search", "tom", {**given, "subject": "Nobody Whatever"})

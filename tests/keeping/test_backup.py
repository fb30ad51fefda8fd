"""A backup opens with the identity alone, wherever it is brought, and is whole or nothing."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import resource
import secrets
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import create_engine, inspect

from audit.events import OPERATOR_LOG, Event
from gateway.errors import InvalidError
from gateway.store import schema
from gateway.wiring import backup
from gateway.wiring.archive import Head, Writer
from gateway.wiring.parts import parts
from gateway.wiring.restore import Restored, Wanted, restore
from tests.keeping.deployment import Deployment, frameroom, serving
from tests.support.need import need_tool
from tests.support.postgres import Postgres
from tests.support.warm import ROOT


def furnish(deployment: Deployment) -> None:
    for name in ("Brook & Sons", "Éléonore \\ 'quoted' 日本"):
        deployment.do("customer add", name=name)
    segment = deployment.data / "objects" / "recordings" / "cus_x" / "ses_x" / "0"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(secrets.token_bytes(300_000))


def keys_of(deployment: Deployment) -> set[Path]:
    """Files of the key store."""
    return {path for path in (deployment.data / "keyring").rglob("*") if path.is_file() and path.name[0] != "."}


def furnish_and_tell(deployment: Deployment) -> list[Path]:
    """The files of the keys that this took: not the deployment's own, without which nothing opens at all."""
    deployment.do("customer list")
    own = keys_of(deployment)
    furnish(deployment)
    return sorted(keys_of(deployment) - own)


def back_up(deployment: Deployment, name: str = "b.age", what: tuple[str, ...] = backup.PARTS) -> Path:
    file = deployment.folder.parent / name
    deployment.do(
        "backup", file=str(file), to=[deployment.recipient], parts=list(what), config=deployment.config.read_text()
    )
    return file


def into(deployment: Deployment, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Restored into a database of the kind that it came from."""
    if deployment.database[0].startswith("sqlite"):
        return ()
    server: Postgres = request.getfixturevalue("postgres")
    return ("--database", server.create_database()[0])


async def test_what_is_backed_up_while_it_serves_is_restored_and_verifies(
    deployment: Deployment, request: pytest.FixtureRequest
) -> None:
    await asyncio.to_thread(furnish, deployment)
    file = deployment.folder.parent / "b.age"
    async with serving(deployment) as gateway:
        told = await asyncio.to_thread(deployment.json, "backup", str(file), "--to", deployment.recipient)
        assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert told["bytes"] == file.stat().st_size
        assert await gateway.stop() == 0, gateway.said
    new = deployment.folder.parent / "new"
    restored = frameroom(
        "--json", "restore", str(file), str(new), "--identity", str(deployment.identity_file()),
        *into(deployment, request),
    )  # fmt: skip
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["log"] == "verified"
    again = Deployment(new, deployment.database)
    mine, theirs = [await asyncio.to_thread(d.do, "customer list") for d in (again, deployment)]
    assert len(mine) == 2
    assert mine == theirs
    for part in ("keys", "objects/recordings", "keyring"):
        for path in (p for p in (deployment.data / part).rglob("*") if p.is_file() and p.name[0] != "."):
            copy = new / "data" / path.relative_to(deployment.data)
            assert copy.read_bytes() == path.read_bytes()
            assert copy.stat().st_mode & 0o077 == 0
    # What the restored one opens is its own: the old place could be gone.
    assert again.settings().storage.data_dir == new / "data"
    assert str(deployment.database[0]) not in again.config.read_text() or deployment.database[0].startswith("sqlite")
    # It goes on as itself: entries get new places, and the log holds together.
    await asyncio.to_thread(again.do, "customer add", name="After")
    assert (await asyncio.to_thread(again.do, "audit verify"))["ok"] is True
    # The event of the backup stands in the log that it was made of.
    tail = await asyncio.to_thread(deployment.json, "audit", "tail", "--why", "t")
    assert any(row["kind"] == "backup.made" for row in tail)


def test_a_postgresql_backup_can_be_opened_in_a_file(deployment: Deployment) -> None:
    furnish(deployment)
    file, new = back_up(deployment), deployment.folder.parent / "new"
    words = ["restore", str(file), str(new), "--identity", str(deployment.identity_file())]
    if deployment.database[0].startswith("postgresql"):
        refused = frameroom(*words)
        assert refused.returncode == 2
        assert "--database" in refused.stderr
        assert not new.exists()
        words += ["--database", "sqlite"]
    done = frameroom(*words)
    assert done.returncode == 0, done.stderr
    assert (new / "data" / "frameroom.db").exists()
    assert len(Deployment(new, deployment.database).do("customer list")) == 2


async def test_rows_and_objects_are_of_one_moment_though_much_is_written(deployment: Deployment) -> None:
    """Each backup among writers restores to a log that verifies: nothing in it points beyond it."""
    settings = deployment.settings()
    under_way, over = asyncio.Event(), asyncio.Event()
    async with parts(settings) as opened:

        async def write(customer: str) -> None:
            while not over.is_set():
                async with opened.store.scope(customer) as scope:
                    await opened.audit.append(scope.connection, Event("heartbeat", customer, "t", data={"sessions": 0}))
                await opened.sequence()
                under_way.set()

        files = []
        async with asyncio.TaskGroup() as group:
            group.create_task(write(OPERATOR_LOG))
            group.create_task(write("cus_" + "1" * 24))
            await under_way.wait()
            for number in range(3):
                file = deployment.folder.parent / f"{number}.age"
                await backup.write(opened, file, (deployment.recipient,), backup.PARTS, deployment.config.read_text())
                files.append(file)
            over.set()
    for file in files:
        new = file.with_suffix(".d")
        restore(Wanted((file,), deployment.identity_file(), new, "sqlite"), Restored())
        report = await asyncio.to_thread(Deployment(new, deployment.database).do, "audit verify")
        assert report["ok"], report["faults"]
        assert report["entries"]


def test_it_opens_with_any_tool_and_shows_nothing_without_the_identity(embedded: Deployment) -> None:
    furnish(embedded)
    sealed = back_up(embedded).read_bytes()
    assert sealed.startswith(b"age-encryption.org/v1\n-> X25519 ")
    zstd = need_tool("zstd", "zstd")
    master = (embedded.data / "keys" / "master.key").read_bytes()
    plain = pyrage.decrypt(sealed, [embedded.identity])
    unpacked = subprocess.run([zstd, "-d", "-c"], input=plain, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        names = tar.getnames()
        held = tar.extractfile("keys/master.key")
        assert held is not None
        assert held.read() == master
        assert json.load(tar.extractfile("frameroom.json") or io.BytesIO())["deployment"] == "keep.frameroom.example"
    assert any(name.endswith("-customers.jsonl") for name in names)
    assert names[-1] == "end.json"
    for secret in (master.split(b"\n")[1], b"Brook & Sons"):
        assert secret not in sealed


def damaged(sealed: bytes, how: str) -> bytes:
    middle = len(sealed) // 2
    return {
        "cut short": sealed[:middle],
        "cut by its last byte": sealed[:-1],
        "with more behind it": sealed + b"x",
        "one bit flipped": sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :],
        "nothing": b"",
        "not a backup": b"PK\x03\x04" + bytes(5000),
        "age, but not ours": pyrage.encrypt(bytes(4000), [KNOWN.to_public()]),
    }[how]


KNOWN = pyrage.x25519.Identity.generate()
DAMAGES = (
    "cut short", "cut by its last byte", "with more behind it", "one bit flipped", "nothing", "not a backup",
    "age, but not ours",
)  # fmt: skip


def test_a_damaged_backup_restores_nothing(embedded: Deployment, postgres: Postgres) -> None:
    furnish(embedded)
    embedded.identity = KNOWN
    file, new = back_up(embedded), embedded.folder.parent / "new"
    sealed, identity = file.read_bytes(), embedded.identity_file()
    owner, _ = postgres.create_database()
    for how in DAMAGES:
        file.write_bytes(damaged(sealed, how))
        for database in (None, owner):
            with pytest.raises(InvalidError, match=r"damaged|cut short"):
                restore(Wanted((file,), identity, new, database), Restored())
            assert not new.exists(), how
        engine = create_engine(schema.sync_url(owner))
        assert set(inspect(engine).get_table_names()) <= {"alembic_version"}, how
        engine.dispose()
    # The last by hand, as it is told to a person.
    done = frameroom("restore", str(file), str(new), "--identity", str(identity))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    file.write_bytes(sealed)
    restore(Wanted((file,), identity, new, owner), Restored())
    assert (new / "data" / "keys").exists()


def test_another_identity_opens_nothing_and_is_said_so(embedded: Deployment) -> None:
    file, new = back_up(embedded), embedded.folder.parent / "new"
    stranger = pyrage.x25519.Identity.generate()
    done = frameroom("restore", str(file), str(new), "--identity", str(embedded.identity_file(stranger)))
    assert done.returncode == 2
    assert "sealed to another recipient" in done.stderr
    assert str(stranger) not in done.stderr
    assert not new.exists()


def test_an_identity_file_that_is_none_is_not_shown(embedded: Deployment) -> None:
    file, secret = back_up(embedded), embedded.folder.parent / "secret.txt"
    secret.write_text("AGE-SECRET-KEY-1HUNTER2\n")
    done = frameroom("restore", str(file), str(embedded.folder.parent / "new"), "--identity", str(secret))
    assert done.returncode == 2
    assert "not an age identity" in done.stderr
    assert "HUNTER2" not in done.stderr


def test_a_private_identity_as_recipient_is_refused_and_not_repeated(embedded: Deployment) -> None:
    file = embedded.folder.parent / "b.age"
    done = embedded.run("backup", str(file), "--to", str(embedded.identity))
    assert done.returncode == 2
    assert "never be on this machine" in done.stderr
    assert str(embedded.identity) not in done.stderr + done.stdout
    assert not file.exists()
    assert not backup.partial(file).exists()
    assert embedded.run("backup", str(file), "--to", "age1nonsense").returncode == 2


def test_nothing_is_overwritten(embedded: Deployment) -> None:
    file = back_up(embedded)
    before = file.read_bytes()
    again = embedded.run("backup", str(file), "--to", embedded.recipient)
    assert again.returncode != 0
    assert "overwrites nothing" in again.stderr
    assert file.read_bytes() == before
    onto = frameroom("restore", str(file), str(embedded.folder), "--identity", str(embedded.identity_file()))
    assert onto.returncode != 0
    assert "holds a deployment already" in onto.stderr
    assert not list(embedded.folder.glob(".restoring*"))
    # One that another process is still writing, or that was cut short, is not taken for ours.
    other = embedded.folder.parent / "other.age"
    backup.partial(other).write_bytes(b"half")
    refused = embedded.run("backup", str(other), "--to", embedded.recipient)
    assert refused.returncode != 0
    assert "delete other.age.part" in refused.stderr
    assert backup.partial(other).read_bytes() == b"half"


def test_a_full_disk_leaves_no_half_a_backup(embedded: Deployment) -> None:
    big = embedded.data / "objects" / "recordings" / "cus_x" / "ses_x" / "0"
    big.parent.mkdir(parents=True)
    big.write_bytes(secrets.token_bytes(6 << 20))
    file = embedded.folder.parent / "b.age"
    limit = 3 << 20  # above what the database needs, below the backup

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", "-c", str(embedded.config), "backup", str(file), "--to",
         embedded.recipient], cwd=ROOT, capture_output=True, text=True, preexec_fn=small_files_only,
    )  # fmt: skip
    assert done.returncode == 1
    assert "could not be written (File too large)" in done.stderr
    assert list(file.parent.glob("b.age*")) == []
    nowhere = embedded.run("backup", str(file.parent / "no" / "b.age"), "--to", embedded.recipient)
    assert nowhere.returncode == 1
    assert "No such file" in nowhere.stderr


def test_keys_kept_apart_come_together_again(embedded: Deployment) -> None:
    furnish(embedded)
    main = back_up(embedded, "main.age", ("database", "objects"))
    keys = back_up(embedded, "keys.age", backup.KEYS)
    for part, absent in ((main, ("keys/", "keyring/")), (keys, ("database/", "objects/"))):
        plain = pyrage.decrypt(part.read_bytes(), [embedded.identity])
        unpacked = subprocess.run(
            [need_tool("zstd", "zstd"), "-d", "-c"], input=plain, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
            assert not [name for name in tar.getnames() if name.startswith(absent)]
    new = embedded.folder.parent / "new"
    identity = ("--identity", str(embedded.identity_file()))
    with pytest.raises(InvalidError, match="without keys"):
        restore(Wanted((main,), embedded.identity_file(), new, None), Restored())
    with pytest.raises(InvalidError, match="no database"):
        restore(Wanted((keys,), embedded.identity_file(), new, None), Restored())
    assert not new.exists()
    both = frameroom("restore", str(main), str(new), "--keys", str(keys), *identity)
    assert both.returncode == 0, both.stderr


def test_a_backup_without_keys_opens_no_persons_data(embedded: Deployment) -> None:
    """What makes an erasure true: the long-kept half is ciphertext for ever once the key is gone everywhere."""
    destroyed, *_ = furnish_and_tell(embedded)
    main = back_up(embedded, "main.age", ("database", "objects"))
    destroyed.write_bytes(b"")
    keys = back_up(embedded, "keys.age", backup.KEYS)
    new = embedded.folder.parent / "new"
    done = frameroom(
        "restore", str(main), str(new), "--keys", str(keys), "--identity", str(embedded.identity_file()),
        "--database", "sqlite",
    )  # fmt: skip
    # It is all there; but this key went without a word in the log, and that is said.
    assert done.returncode == 1
    assert "no entry says that its key was destroyed" in done.stderr
    assert (new / "data" / destroyed.relative_to(embedded.data)).read_bytes() == b""


@pytest.mark.parametrize(
    "name", ["objects/../../escaped", "/etc/escaped", "objects/.hidden", "keys/a/../../../escaped", "elsewhere/x"]
)
def test_a_forged_backup_writes_nothing_outside(embedded: Deployment, name: str) -> None:
    """Anybody can seal to a public recipient."""
    head = Head(
        deployment="x", made_ms=1, parts=["objects"], database="", revision="", tables={}
    )  # fmt: skip
    plain = io.BytesIO()
    writer = Writer(plain)
    writer.add("frameroom.json", head.model_dump_json().encode())
    writer.add(name, b"gotcha")
    writer.finish()
    file, new = embedded.folder.parent / "b.age", embedded.folder.parent / "new"
    file.write_bytes(pyrage.encrypt(plain.getvalue(), [embedded.identity.to_public()]))
    with pytest.raises(InvalidError, match="what no backup does"):
        restore(Wanted((file,), embedded.identity_file(), new, None), Restored())
    assert not new.exists()
    assert not list(embedded.folder.parent.rglob("escaped"))


def test_a_backup_of_a_newer_schema_says_what_to_install(embedded: Deployment) -> None:
    head = Head(deployment="x", made_ms=1, parts=["database"], database="sqlite", revision="9999", tables={})
    plain = io.BytesIO()
    writer = Writer(plain)
    writer.add("frameroom.json", head.model_dump_json().encode())
    writer.finish()
    file, new = embedded.folder.parent / "b.age", embedded.folder.parent / "new"
    file.write_bytes(pyrage.encrypt(plain.getvalue(), [embedded.identity.to_public()]))
    done = frameroom("restore", str(file), str(new), "--identity", str(embedded.identity_file()))
    assert done.returncode == 2
    assert "Install the version that made it" in done.stderr
    assert not new.exists()


def test_a_log_that_was_false_when_it_was_backed_up_is_restored_and_said_so(embedded: Deployment) -> None:
    taken = furnish_and_tell(embedded)
    assert embedded.do("audit verify")["ok"]
    # Keys that were taken away, not destroyed: what they sealed cannot be checked any more.
    for path in taken:
        path.unlink()
    file, new = back_up(embedded), embedded.folder.parent / "new"
    done = frameroom(
        "restore", str(file), str(new), "--identity", str(embedded.identity_file()), "--database", "sqlite"
    )
    assert done.returncode == 1
    assert "does not verify, as it stands in the backup" in done.stderr
    assert (new / "data" / "frameroom.db").exists()
    shutil.rmtree(new)

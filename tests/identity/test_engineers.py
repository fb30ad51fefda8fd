"""Keys, codes and switching off, against a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pyotp
import pytest

from audit.clock import LogClock
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.identity.engineers import Engineers, parse_public_key
from gateway.store import schema
from gateway.store.engine import Store
from gateway.vault import Vault

LOGIN = "kim.engineer"
CERTIFIED = "certificate 'kim at the depot' serial 7 of SHA256:…"
"""What signed in before the code: nothing that could be taken away meanwhile."""


@dataclass
class Registry:
    engineers: Engineers
    folder: Path
    now_ms: int = 1_800_000_000_000
    secret: str = ""

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.now_ms // 1000 + 30 * steps)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    schema.upgrade(f"sqlite:///{tmp_path}/state.db")
    master = FileMasterKey.create(tmp_path / "master.key")
    store = Store(f"sqlite:///{tmp_path}/state.db")
    made = Registry(None, tmp_path)  # type: ignore[arg-type]
    audit = AuditLog(FileKeyStore(tmp_path / "keyring", master), LogClock(lambda: made.now_ms))
    made.engineers = Engineers(store, audit, Vault(audit.keys))
    await made.engineers.add("op", LOGIN, "Kim", "kim@maintainer.example", frozenset())
    made.secret = await made.engineers.enrol_totp("op", LOGIN)
    yield made
    await store.close()


def line(algorithm: str, **options: int) -> str:
    return asyncssh.generate_private_key(algorithm, **options).export_public_key().decode()


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521"])
def test_good_keys_are_taken(algorithm: str) -> None:
    fingerprint, exported = parse_public_key("  " + line(algorithm) + " kim@laptop\n")
    assert fingerprint.startswith("SHA256:")
    assert exported.startswith(algorithm)


def test_weak_wrong_and_private_keys_are_refused_with_what_to_do() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = key.generate_user_certificate(key, "c", principals=["kim"]).export_certificate().decode()
    bad = [line("ssh-rsa", key_size=2048), line("ssh-dss"), key.export_private_key("openssh").decode(), certificate,
           "", "ssh-ed25519", "ssh-ed25519 AAAA", "\x1b[2J", "x" * 100_000]  # fmt: skip
    for text in bad:
        with pytest.raises(InvalidError) as refused:
            parse_public_key(text)
        assert refused.value.next_step


async def test_a_key_belongs_to_one_engineer_and_to_its_login_only(registry: Registry) -> None:
    key = line("ssh-ed25519")
    fingerprint = await registry.engineers.add_key("op", LOGIN, key)
    await registry.engineers.add("op", "lee", "Lee", "lee@maintainer.example", frozenset())
    with pytest.raises(ConflictError):
        await registry.engineers.add_key("op", "lee", key)
    assert await registry.engineers.key_known(LOGIN, fingerprint)
    assert not await registry.engineers.key_known("lee", fingerprint)
    assert not await registry.engineers.key_known("nobody", fingerprint)
    with pytest.raises(NotFoundError):
        await registry.engineers.add_key("op", "nobody", line("ssh-ed25519"))


async def test_a_step_either_side_is_taken_two_are_not(registry: Registry) -> None:
    assert await registry.engineers.code_right(LOGIN, registry.code(2), CERTIFIED) is None
    assert await registry.engineers.code_right(LOGIN, registry.code(-2), CERTIFIED) is None
    assert await registry.engineers.code_right(LOGIN, registry.code(-1), CERTIFIED) == "totp"
    assert await registry.engineers.code_right(LOGIN, registry.code(1), CERTIFIED) == "totp"


async def test_a_step_at_or_before_the_last_one_used_is_refused(registry: Registry) -> None:
    assert await registry.engineers.code_right(LOGIN, registry.code(1), CERTIFIED) == "totp"
    assert await registry.engineers.code_right(LOGIN, registry.code(1), CERTIFIED) is None
    assert await registry.engineers.code_right(LOGIN, registry.code(0), CERTIFIED) is None


@pytest.mark.parametrize("nonsense", ["", "12345", "1234567", "१२३४५६", "a" * 10_000, "12 34 56x", "\0" * 6])
async def test_nonsense_is_no_code(registry: Registry, nonsense: str) -> None:
    assert await registry.engineers.code_right(LOGIN, nonsense, CERTIFIED) is None


async def test_the_same_code_twice_at_once_is_taken_once(registry: Registry) -> None:
    code = registry.code()
    answers = await asyncio.gather(*(registry.engineers.code_right(LOGIN, code, CERTIFIED) for _ in range(5)))
    assert sorted(a or "" for a in answers) == ["", "", "", "", "totp"]


async def test_the_same_code_on_two_nodes_at_once_is_taken_once(database: tuple[str, str], tmp_path: Path) -> None:
    owner, app = database
    schema.upgrade(owner)
    master, clock = FileMasterKey.create(tmp_path / "master.key"), LogClock(lambda: 1_800_000_000_000)
    stores = [Store(app)] if app.startswith("sqlite") else [Store(app), Store(app)]
    keyrings = [FileKeyStore(tmp_path / "keyring", master) for _ in stores]
    nodes = [Engineers(s, AuditLog(k, clock), Vault(k)) for s, k in zip(stores, keyrings, strict=True)]
    await nodes[0].add("op", LOGIN, "Kim", "kim@maintainer.example", frozenset())
    code = pyotp.TOTP(await nodes[0].enrol_totp("op", LOGIN)).at(1_800_000_000)
    (backup, *_) = await nodes[0].issue_codes("op", LOGIN)
    for once in (code, backup):
        answers = await asyncio.gather(*(node.code_right(LOGIN, once, CERTIFIED) for node in nodes * 2))
        assert sum(answer is not None for answer in answers) == 1, answers
    for store in stores:
        await store.close()


async def test_a_key_that_is_taken_away_after_its_signature_makes_the_code_worthless(registry: Registry) -> None:
    kept, stolen = [await registry.engineers.add_key("op", LOGIN, line("ssh-ed25519")) for _ in range(2)]
    await registry.engineers.remove_key("op", LOGIN, stolen)
    assert await registry.engineers.code_right(LOGIN, registry.code(), stolen) is None
    assert await registry.engineers.code_right(LOGIN, registry.code(), kept) == "totp", "nor was the code used up"


async def test_who_must_leave_is_said_with_the_reason(registry: Registry) -> None:
    kept, stolen = [await registry.engineers.add_key("op", LOGIN, line("ssh-ed25519")) for _ in range(2)]
    me = (await registry.engineers.all())[0].id
    here = frozenset({(me, kept), (me, stolen), (me, CERTIFIED)})
    assert await registry.engineers.must_leave(here) == {}
    await registry.engineers.remove_key("op", LOGIN, stolen)
    assert "taken away" in (await registry.engineers.must_leave(here))[me, stolen]
    await registry.engineers.set_enabled("op", LOGIN, False)
    assert (await registry.engineers.must_leave(here)).keys() == here


async def test_backup_codes_work_once_each_and_new_ones_end_the_old(registry: Registry) -> None:
    codes = await registry.engineers.issue_codes("op", LOGIN)
    assert len(set(codes)) == 10
    assert await registry.engineers.code_right(LOGIN, codes[0].upper(), CERTIFIED) == "backup-code"
    assert await registry.engineers.code_right(LOGIN, codes[0], CERTIFIED) is None
    await registry.engineers.issue_codes("op", LOGIN)
    assert await registry.engineers.code_right(LOGIN, codes[1], CERTIFIED) is None


async def test_wrong_codes_delay_exponentially_and_over_a_restart(registry: Registry) -> None:
    for _ in range(7):
        await registry.engineers.code_right(LOGIN, "000000", CERTIFIED)
        registry.now_ms += 1
    assert await registry.engineers.code_right(LOGIN, registry.code(), CERTIFIED) is None, "not looked at"
    fresh = Store(registry.engineers._store.url)
    again = Engineers(fresh, registry.engineers._audit, registry.engineers._vault)
    assert await again.code_right(LOGIN, registry.code(), CERTIFIED) is None, "a restart does not help"
    registry.now_ms += 900_000
    assert await again.code_right(LOGIN, registry.code(), CERTIFIED) == "totp"
    await fresh.close()


async def test_nobody_who_is_switched_off_signs_in(registry: Registry) -> None:
    fingerprint = await registry.engineers.add_key("op", LOGIN, line("ssh-ed25519"))
    await registry.engineers.set_enabled("op", LOGIN, False)
    assert not await registry.engineers.key_known(LOGIN, fingerprint)
    assert not await registry.engineers.certificate_known(LOGIN)
    assert await registry.engineers.code_right(LOGIN, registry.code(), CERTIFIED) is None


async def test_no_secret_or_code_stands_in_the_database(registry: Registry) -> None:
    codes = await registry.engineers.issue_codes("op", LOGIN)
    await registry.engineers.code_right(LOGIN, registry.code(), CERTIFIED)
    stored = b"".join(path.read_bytes() for path in registry.folder.rglob("*") if path.is_file())
    for secret in (registry.secret, *codes):
        assert secret.encode() not in stored

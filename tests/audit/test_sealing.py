"""Keys: wrapped, outside the database, agreed on by two who make one at once, and gone when destroyed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.sealing import (
    FileKeyStore,
    FileMasterKey,
    KeyDestroyed,
    KeyMissing,
    KeyStoreAway,
    SealingError,
    open_sealed,
    seal,
)

KEY_ID = "session:ses_" + "1" * 24


def test_a_master_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    FileMasterKey.create(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(SealingError, match="chmod 600"):
        FileMasterKey.load(tmp_path / "k")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"frameroom-master-key-v1\nAAAA\n", b"frameroom-master-key-v1\n\xff*\n"]
)
def test_what_is_no_master_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(SealingError, match="not a master key"):
        FileMasterKey.load(tmp_path / "k")


def test_a_master_key_is_never_overwritten(tmp_path: Path) -> None:
    FileMasterKey.create(tmp_path / "k")
    with pytest.raises(FileExistsError):
        FileMasterKey.create(tmp_path / "k")


def test_two_who_make_a_key_at_once_agree(tmp_path: Path) -> None:
    master = FileMasterKey.create(tmp_path / "k")
    stores = [FileKeyStore(tmp_path / "keys", master) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda store: store.get_or_create("cus_1", KEY_ID), stores))
    assert len(made) == 1


def test_many_keys_that_are_made_together_are_those_that_stay(tmp_path: Path) -> None:
    master = FileMasterKey.create(tmp_path / "k")
    keys, ids = FileKeyStore(tmp_path / "keys", master), [f"subject:sub_{n}" for n in range(300)]
    before = keys.get_or_create("cus_1", ids[0])
    keys.get_or_create("cus_1", ids[1])
    keys.destroy("cus_1", ids[1])
    keys.make_ready("cus_1", ids)
    keys.make_ready("cus_1", ids)
    again = FileKeyStore(tmp_path / "keys", master)
    assert keys.get("cus_1", ids[0]) == again.get("cus_1", ids[0]) == before
    with pytest.raises(KeyDestroyed):
        again.get("cus_1", ids[1])
    made = {key_id: again.get("cus_1", key_id) for key_id in ids[2:]}
    assert made == {key_id: keys.get("cus_1", key_id) for key_id in made}
    assert len(set(made.values())) == len(made)
    assert all(keys.cached("cus_1", key_id) for key_id in made)
    assert not [file for file in (tmp_path / "keys").rglob(".*") if file.name != ".lock"], "something was left lying"
    assert {file.stat().st_mode & 0o777 for file in keys.files()} == {0o600}


def test_many_who_make_the_same_keys_at_once_agree_on_each(tmp_path: Path) -> None:
    master, ids = FileMasterKey.create(tmp_path / "k"), [f"subject:sub_{n}" for n in range(40)]
    stores = [FileKeyStore(tmp_path / "keys", master) for _ in range(6)]

    def make(number: int) -> dict[str, bytes]:
        if number % 3:
            stores[number].make_ready("cus_1", ids)
        return {key_id: stores[number].get_or_create("cus_1", key_id) for key_id in ids}

    with ThreadPoolExecutor(6) as pool:
        first, *others = pool.map(make, range(6))
    assert others == [first] * 5


def test_keys_that_cannot_be_made_together_leave_nothing_behind(tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path / "keys", FileMasterKey.create(tmp_path / "k"))
    for number in range(256):  # files where the folders of keys would be
        (tmp_path / "keys" / f"{number:02x}").write_bytes(b"")
    with pytest.raises(KeyStoreAway):
        keys.make_ready("cus_1", ["subject:sub_1", "subject:sub_2"])
    assert not keys.cached("cus_1", "subject:sub_1")
    for number in range(256):
        (tmp_path / "keys" / f"{number:02x}").unlink()
    keys.make_ready("cus_1", ["subject:sub_1", "subject:sub_2"])
    assert keys.cached("cus_1", "subject:sub_1")


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "a file"])
def test_a_folder_that_is_away_gets_no_new_keys_and_is_told_as_away(tmp_path: Path, left: str) -> None:
    """As when its volume is not mounted: a key made in the empty place would hide the one that is missed."""
    store = FileKeyStore(tmp_path / "keys", FileMasterKey.create(tmp_path / "k"))
    before = store.get_or_create("cus_1", KEY_ID)
    aside = (tmp_path / "keys").rename(tmp_path / "aside")
    if left == "an empty folder":
        (tmp_path / "keys").mkdir()
    elif left == "a file":
        (tmp_path / "keys").write_bytes(b"")
    with pytest.raises(KeyStoreAway, match=r"the folder of the keys cannot be used \("):
        store.get_or_create("cus_1", KEY_ID + "2")
    found = list((tmp_path / "keys").iterdir()) if left == "an empty folder" else []
    assert found == []
    if left == "an empty folder":
        (tmp_path / "keys").rmdir()
    elif left == "a file":
        (tmp_path / "keys").unlink()
    aside.rename(tmp_path / "keys")
    assert store.get_or_create("cus_1", KEY_ID) == before
    assert store.get_or_create("cus_1", KEY_ID + "2") != before


def test_file_names_and_contents_tell_neither_id_nor_key(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path / "keys", FileMasterKey.create(tmp_path / "k"))
    key = store.get_or_create("cus_1", KEY_ID)
    written = list((tmp_path / "keys").glob("*/*"))
    assert len(written) == 1
    assert "ses_" not in str(written[0].relative_to(tmp_path))
    assert key not in written[0].read_bytes()


def test_a_destroyed_key_stays_destroyed(tmp_path: Path) -> None:
    master = FileMasterKey.create(tmp_path / "k")
    store = FileKeyStore(tmp_path / "keys", master)
    store.get_or_create("cus_1", KEY_ID)
    store.destroy("cus_1", KEY_ID)
    for each in (store, FileKeyStore(tmp_path / "keys", master)):
        with pytest.raises(KeyDestroyed):
            each.get("cus_1", KEY_ID)
        with pytest.raises(KeyDestroyed):
            each.get_or_create("cus_1", KEY_ID)


def test_a_key_that_never_was(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path / "keys", FileMasterKey.create(tmp_path / "k"))
    with pytest.raises(KeyMissing):
        store.get("cus_1", KEY_ID)
    with pytest.raises(KeyMissing):
        store.destroy("cus_1", KEY_ID)


def test_a_wrapped_key_moved_to_another_customer_does_not_open(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path / "keys", FileMasterKey.create(tmp_path / "k"))
    store.get_or_create("cus_1", KEY_ID)
    store.get_or_create("cus_2", KEY_ID)
    first, second = sorted((tmp_path / "keys").glob("*/*"))
    os.replace(first, second)
    fresh = FileKeyStore(tmp_path / "keys", FileMasterKey.load(tmp_path / "k"))
    refused = 0
    for customer in ("cus_1", "cus_2"):
        try:
            fresh.get(customer, KEY_ID)
        except SealingError:
            refused += 1
    assert refused == 2


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(1, 255))
def test_any_byte_changed_does_not_open(plain: bytes, place: int, change: int) -> None:
    sealed = bytearray(seal(bytes(32), b"context", plain))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(SealingError):
        open_sealed(bytes(32), b"context", bytes(sealed))
    with pytest.raises(SealingError):
        open_sealed(bytes(32), b"another", seal(bytes(32), b"context", plain))


@given(st.binary(max_size=40))
def test_hostile_bytes_never_open(data: bytes) -> None:
    with pytest.raises(SealingError):
        open_sealed(bytes(32), b"context", data)

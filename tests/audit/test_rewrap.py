"""Another master key: every key comes over, none that was destroyed comes back, and the old key opens nothing more."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit import rewrap
from audit.keystore import FileKeyStore, unfinished
from audit.masters import MasterKeys, Named, create_file
from audit.rewrap import ChangeRefused, Wanted
from audit.wrapping import FileMasterKey, KeyDestroyed, KeyMissing, MasterKey, MasterKeyAway, SealingError

IDS = [f"session:ses_{number:024}" for number in range(12)]


def reaching(folder: Path) -> Callable[[Named], MasterKey]:
    def reach(named: Named) -> MasterKey:
        try:
            return FileMasterKey.load(folder / named.file)
        except FileNotFoundError as error:
            raise MasterKeyAway(named.file) from error

    return reach


class Place:
    """A folder of master keys and a key store, as one process has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.masters = MasterKeys(folder, reaching(folder))
        self.store = FileKeyStore(folder / "keyring", self.masters)

    def change(self) -> Named:
        """The whole of it, file to file."""
        with rewrap.changing(self.masters):
            named = rewrap.choose(self.store, self.masters, Wanted("file"))
            rewrap.switch(self.store, self.masters, named)
            for path in rewrap.left(self.store, self.masters):
                self.store.rewrap(path)
            self.masters.settled()
        return named

    def retire(self) -> list[Named]:
        with rewrap.changing(self.masters), rewrap.in_use(self.folder, alone=True):
            old = rewrap.needless(self.store, self.masters)
            rewrap.retire(self.masters, old)
        return old

    def under(self) -> dict[str, int]:
        *_, found = rewrap.count(self.store, opening=True)
        assert found.damaged == []
        return dict(found.under)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    create_file(tmp_path)
    made = Place(tmp_path)
    for key_id in IDS:
        made.store.get_or_create("cus_1", key_id)
    return made


def test_every_key_is_the_same_under_the_new_master_and_gone_from_under_the_old(place: Place) -> None:
    old = place.masters.current
    names, keys = [p.name for p in place.store.files()], [place.store.get("cus_1", key_id) for key_id in IDS]
    alias, secret = place.store.alias("cus_1", "name", "Kate"), place.store.derive("keyed index")
    new = place.change()
    assert place.under() == {new.id: len(IDS) + 1}
    (place.folder / old.file).unlink()
    fresh = Place(place.folder)
    assert [fresh.store.get("cus_1", key_id) for key_id in IDS] == keys
    # What stands in the log by keyed digests is found again.
    assert (fresh.store.alias("cus_1", "name", "Kate"), fresh.store.derive("keyed index")) == (alias, secret)
    assert [p.name for p in fresh.store.files()] == names


def test_another_process_wraps_under_the_new_one_at_once_and_opens_what_it_had(place: Place) -> None:
    other = Place(place.folder)
    known = other.store.get("cus_1", IDS[0])
    new = place.change()
    made = other.store.get_or_create("cus_1", "session:later")
    assert place.under() == {new.id: len(IDS) + 2}
    assert place.store.get("cus_1", "session:later") == made
    assert Place(place.folder).store.get("cus_1", IDS[0]) == known


def test_a_destroyed_key_stays_destroyed_whatever_is_cut_short(place: Place) -> None:
    doomed, path = IDS[3], place.store._place("cus_1", IDS[3])
    key = place.store.get("cus_1", doomed)
    # A rewrap that died between its copy and the rename left a second way to the key.
    unfinished(path).write_bytes(place.masters.wrap(path.name.encode(), key))
    place.store.destroy("cus_1", doomed)
    assert not unfinished(path).exists()
    new = place.change()
    assert place.under() == {new.id: len(IDS)}
    for store in (place.store, Place(place.folder).store):
        with pytest.raises(KeyDestroyed):
            store.get("cus_1", doomed)


def test_destroyed_while_it_is_rewrapped_it_is_destroyed(place: Place) -> None:
    new = rewrap.choose(place.store, place.masters, Wanted("file"))
    rewrap.switch(place.store, place.masters, new)
    paths = [place.store._place("cus_1", key_id) for key_id in IDS]
    with ThreadPoolExecutor(8) as pool:
        both = [(pool.submit(place.store.rewrap, p), pool.submit(place.store.destroy, "cus_1", k)) for p, k in
                zip(paths, IDS, strict=True)]  # fmt: skip
        for pair in both:
            for one in pair:
                one.result()
    for key_id in IDS:
        with pytest.raises(KeyDestroyed):
            Place(place.folder).store.get("cus_1", key_id)


def test_nothing_is_left_of_the_old_copy(place: Place) -> None:
    path = place.store._place("cus_1", IDS[0])
    with path.open("rb") as held:  # as a disk may hold the blocks of a file that has no name any more
        old = held.read()
        place.change()
        assert os.fstat(held.fileno()).st_nlink == 0
        held.seek(0)
        assert held.read() == bytes(len(old))


def test_a_key_read_while_its_file_is_replaced_is_read(place: Place) -> None:
    stop = False

    def read() -> int:
        fresh, looked = Place(place.folder), 0
        while not stop:
            fresh.store._cache.clear()
            looked += bool(fresh.store.get("cus_1", IDS[0]))
        return looked

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for _ in range(5):
            place.change()
        stop = True
        assert all(reader.result() for reader in readers)


def test_the_old_key_is_taken_away_only_when_nothing_needs_it(place: Place) -> None:
    old = place.masters.current
    with pytest.raises(ChangeRefused, match="no old master key"):
        place.retire()
    new = rewrap.choose(place.store, place.masters, Wanted("file"))
    rewrap.switch(place.store, place.masters, new)
    with pytest.raises(ChangeRefused, match=f"13 keys are still wrapped under the master key {old.id}"):
        place.retire()
    assert (place.folder / old.file).exists()
    place.change()
    with rewrap.in_use(place.folder), pytest.raises(ChangeRefused, match="a backup is being written"):
        place.retire()
    assert [named.id for named in place.retire()] == [old.id]
    assert not (place.folder / old.file).exists()
    assert [named.id for named in place.masters.listed] == [new.id]
    assert Place(place.folder).store.get("cus_1", IDS[0])


def test_two_who_change_it_at_once_are_told(place: Place) -> None:
    with rewrap.changing(place.masters), pytest.raises(ChangeRefused, match="somebody else"):
        place.change()


def test_what_was_named_and_never_made_is_forgotten(place: Place) -> None:
    named = rewrap.choose(place.store, place.masters, Wanted("file"))
    assert rewrap.choose(place.store, place.masters, Wanted("file")) == named, (
        "cut short before the switch, it is taken up again"
    )
    (place.folder / named.file).unlink()
    again = rewrap.choose(place.store, place.masters, Wanted("file"))
    assert again.id != named.id
    assert [one.id for one in place.masters.listed if one.state == "next"] == [again.id]


def test_a_damaged_file_is_said_and_holds_up_no_other(place: Place) -> None:
    path = place.store._place("cus_1", IDS[5])
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    *_, found = rewrap.count(place.store, opening=True)
    assert found.damaged == [path.name]
    rewrap.switch(place.store, place.masters, rewrap.choose(place.store, place.masters, Wanted("file")))
    with pytest.raises(SealingError):
        place.store.rewrap(path)
    assert path.stat().st_size, "it is left as it was"


def test_another_key_under_the_same_name_is_found_out(place: Place) -> None:
    key = place.folder / place.masters.current.file
    key.unlink()
    FileMasterKey.create(key)
    with pytest.raises(MasterKeyAway, match="is not the master key"):
        Place(place.folder)
    key.unlink()
    with pytest.raises(MasterKeyAway):
        Place(place.folder)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"format": "x", "keys": []}', b'{"format": 1, "keys": [{"id": 1}]}', b"\xff"]
)
def test_a_list_that_is_none_is_said(place: Place, text: bytes) -> None:
    (place.folder / "masters.json").write_bytes(text)
    with pytest.raises(SealingError, match="not a list of master keys"):
        Place(place.folder)
    (place.folder / "masters.json").unlink()
    with pytest.raises(SealingError, match="newest backup of the keys"):
        Place(place.folder)


def test_an_index_that_is_missing_is_not_made_anew_over_keys_that_it_names(place: Place) -> None:
    (place.folder / "keyring" / "index").unlink()
    with pytest.raises(SealingError, match="put it back"):
        Place(place.folder)


def test_what_says_nothing_is_a_destroyed_key(place: Place) -> None:
    path = place.store._place("cus_1", IDS[0])
    path.write_bytes(bytes(path.stat().st_size))  # a crash in the middle of destroying it
    with pytest.raises(KeyDestroyed):
        Place(place.folder).store.get("cus_1", IDS[0])
    with pytest.raises(KeyMissing):
        place.store.get("cus_1", "session:never")

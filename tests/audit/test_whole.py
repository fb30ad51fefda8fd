"""A copy of a whole log in a folder: whatever in it is not what its checkpoint commits to is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import Checkpoint, Signer
from audit.merkle import leaf_hash
from audit.rotation import handover
from audit.tiles import WIDTH, TileWriter
from audit.verify import main

from .conftest import CUSTOMER, DEPLOYMENT, NEIGHBOUR

ORIGIN = f"{DEPLOYMENT}/{CUSTOMER}"


def key() -> Signer:
    return Signer(DEPLOYMENT, Ed25519PrivateKey.generate())


def entry(number: int, log: str = CUSTOMER) -> bytes:
    return json.dumps({"id": number, "kind": "heartbeat", "log": log}, separators=(",", ":")).encode()


def copy(folder: Path, signer: Signer, entries: Iterable[bytes]) -> Path:
    """As a tlog-tiles client fetches it."""
    writer = TileWriter()
    made = [piece for one in entries for piece in writer.add(one, leaf_hash(one))]
    for name, data in [*made, *writer.edge()]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "checkpoint").write_text(signer.sign(Checkpoint(ORIGIN, writer.size, writer.root())))
    return folder


def bundled(one: bytes) -> bytes:
    """As it stands in a bundle of entries."""
    return len(one).to_bytes(2, "big") + one


def check(folder: Path, signer: Signer, *more: str) -> int:
    return main([str(folder), "--vkey", signer.vkey, "--origin", ORIGIN, *more])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Signer]:
    """With a full tile above the lowest level."""
    signer = key()
    return copy(tmp_path_factory.mktemp("log"), signer, map(entry, range(WIDTH * WIDTH + 300))), signer


@pytest.mark.parametrize(
    "name", ["tile/0/000", "tile/0/257.p/44", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1", "tile/entries/123"]
)
def test_each_tile_that_was_altered_is_named(
    large: tuple[Path, Signer], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, signer = large
    assert check(folder, signer) == 0
    file = folder / name
    kept = file.read_bytes()
    file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        assert check(folder, signer) == 1
    finally:
        file.write_bytes(kept)
    assert name.replace("/entries/", "/0/") in capsys.readouterr().err


def test_tiles_that_follow_from_others_need_not_be_copied(large: tuple[Path, Signer], tmp_path: Path) -> None:
    folder, signer = large
    shutil.copytree(folder, tmp_path / "log")
    shutil.rmtree(tmp_path / "log" / "tile" / "1")
    assert check(tmp_path / "log", signer) == 0
    shutil.rmtree(tmp_path / "log" / "tile" / "0")
    assert check(tmp_path / "log", signer) == 1


@pytest.mark.parametrize("place", [0, 7, 299])
def test_an_entry_of_a_neighbours_is_found_wherever_it_stands_though_it_is_signed(
    tmp_path: Path, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = key()
    folder = copy(tmp_path, signer, (entry(n, NEIGHBOUR if n == place else CUSTOMER) for n in range(300)))
    assert check(folder, signer) == 1
    assert f"entry {place} belongs to another log" in capsys.readouterr().err


@pytest.mark.parametrize("place", [0, 7, 256])
@pytest.mark.parametrize(
    "told",
    [
        {"data": {"log": CUSTOMER}, "id": "x", "kind": "heartbeat", "log": NEIGHBOUR, "time": 1, "v": 1},
        {"id": "x", "kind": "heartbeat", "log": NEIGHBOUR, "session": {"log": CUSTOMER, "z": "1"}, "time": 1},
        {"id": "x", "kind": "heartbeat", "log": NEIGHBOUR, "z": {"log": CUSTOMER, "z": "1"}},
        {"id": "x", "kind": "heartbeat", "log": NEIGHBOUR, "z": f'"log":"{CUSTOMER}"'},
        {"actor": "x" * (len(CUSTOMER) - 4), "id": "x", "log": NEIGHBOUR, "time": 1, "v": 1},
        {"log": NEIGHBOUR},
    ],
)
def test_a_neighbours_entry_that_names_this_log_somewhere_in_it_is_found_wherever_it_stands(
    tmp_path: Path, place: int, told: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    signer = key()
    theirs = json.dumps(told, separators=(",", ":")).encode()
    folder = copy(tmp_path, signer, (theirs if n == place else entry(n) for n in range(300)))
    assert check(folder, signer) == 1
    assert f"entry {place} belongs to another log" in capsys.readouterr().err


@pytest.mark.parametrize("more", [1, 300])
def test_a_bundle_with_more_entries_than_were_signed_is_named(
    small: tuple[Path, Signer], more: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, signer = small
    file = folder / "tile/entries/002.p/88"
    file.write_bytes(file.read_bytes() + b"".join(bundled(entry(n)) for n in range(600, 600 + more)))
    assert check(folder, signer) == 1
    assert f"tile/entries/002.p/88 has {88 + more} entries instead of 88" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["as it is served", "as it is stored"])
def test_after_a_change_of_the_key_both_who_pinned_the_old_one_and_the_new_one_go_on(tmp_path: Path, form: str) -> None:
    first, second, third = key(), key(), key()
    entries = list(map(entry, range(300)))
    mail = copy(tmp_path / "before", first, entries[:200]) / "checkpoint"
    folder = copy(tmp_path / "after", third, entries)
    assert check(folder, first) == 1, "nothing says that it was handed over"
    notes = [handover(first, second), handover(second, third)]
    if form == "as it is served":
        (folder / "handovers").write_text("\n".join(notes))
    else:
        (folder / "handovers").mkdir()
        for number, note in enumerate(notes):
            (folder / "handovers" / f"{number:06}").write_text(note)
    for pinned in (first, second, third):
        assert check(folder, pinned, "--since", str(mail)) == 0
    assert check(folder, key()) == 1


def test_two_checkpoints_of_one_size_that_differ_are_a_fork_whichever_of_them_the_copy_has(tmp_path: Path) -> None:
    signer = key()
    folder = copy(tmp_path, signer, map(entry, range(300)))
    fork = signer.sign(Checkpoint(ORIGIN, 300, b"x" * 32))
    note = (folder / "checkpoint").read_text()
    for mails in (f"{note}\n\n{fork}", f"{fork}\n\n{note}"):
        (tmp_path / "mails").write_text(mails)
        assert check(folder, signer, "--since", str(tmp_path / "mails")) == 3


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Signer]:
    signer = key()
    return copy(tmp_path / "log", signer, map(entry, range(600))), signer


def mail(folder: Path, note: str) -> tuple[str, str]:
    (folder / "mail").write_text(note)
    return "--since", str(folder / "mail")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 599, 600])
def test_a_checkpoint_of_another_history_is_a_fork_wherever_it_ends(
    small: tuple[Path, Signer], tmp_path: Path, size: int
) -> None:
    folder, signer = small
    held = copy(tmp_path / "held", signer, map(entry, range(size))) / "checkpoint"
    assert check(folder, signer, "--since", str(held)) == 0
    fork = signer.sign(Checkpoint(ORIGIN, size, b"x" * 32))
    assert check(folder, signer, *mail(tmp_path, fork)) == 3


def test_a_copy_that_is_shorter_than_what_somebody_holds_was_cut(small: tuple[Path, Signer], tmp_path: Path) -> None:
    folder, signer = small
    longer = copy(tmp_path / "longer", signer, map(entry, range(601))) / "checkpoint"
    assert check(folder, signer, "--since", str(longer)) == 3
    assert check(folder, signer, *mail(tmp_path, longer.read_text().replace("\n601\n", "\n600\n"))) == 3


def test_entries_and_tiles_altered_alike_are_not_what_was_signed(small: tuple[Path, Signer], tmp_path: Path) -> None:
    folder, signer = small
    note = (folder / "checkpoint").read_text()
    other = copy(tmp_path / "other", signer, (entry(n if n != 300 else 999) for n in range(600)))
    (other / "checkpoint").write_text(note)
    assert check(other, signer) == 1


@pytest.mark.parametrize("how", ["missing", "cut short", "shorter", "nonsense"])
def test_a_bundle_that_is_not_whole_is_named(tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    signer = key()
    first = b"nonsense" if how == "nonsense" else entry(0)
    folder = copy(tmp_path, signer, [first, *map(entry, range(1, 300))])
    file = folder / "tile/entries/001.p/44"
    whole = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how != "nonsense":
        file.write_bytes(whole[: -3 if how == "cut short" else -len(entry(299)) - 2])
    assert check(folder, signer) == 1
    said = capsys.readouterr().err
    assert ("entry 0 is no entry" if how == "nonsense" else "tile/entries/001.p/44") in said

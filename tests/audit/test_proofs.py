"""Tiles and proofs: against the published vectors, RFC 6962's own recursion, and each other."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.merkle import EMPTY_ROOT, leaf_hash, node_hash
from audit.proofs import ProofError, ProofFile, check_consistency, check_inclusion, consistency, inclusion
from audit.tiles import TileError, TileReader, TileWriter, cut, edge_names, entries_in, parse_name, tile_name

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "transparency-dev-merkle.json").read_text(encoding="utf-8")
)


def root_of(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 writes it."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def entry(number: int) -> bytes:
    return f"entry {number}".encode() * (number % 3)


class Tiled:
    """A log's objects in a dictionary."""

    def __init__(self, size: int) -> None:
        self.objects: dict[str, bytes] = {}
        writer = TileWriter()
        for number in range(size):
            self.objects |= writer.add(entry(number), leaf_hash(entry(number)))
        self.objects |= writer.edge()
        self.size, self.root = size, writer.root()
        self.reader = TileReader(size, self.objects.get)


@pytest.mark.parametrize("name", VECTORS["inclusion"])
def test_published_vectors_of_inclusion(name: str) -> None:
    vector = VECTORS["inclusion"][name]
    leaf, root = base64.b64decode(vector["leafHash"] or ""), base64.b64decode(vector["root"] or "")
    path = [base64.b64decode(item) for item in vector["proof"] or ()]
    try:
        check_inclusion(leaf, vector["leafIdx"], vector["treeSize"], path, root)
    except ProofError:
        assert vector["wantErr"]
    else:
        assert not vector["wantErr"]


@pytest.mark.parametrize("name", VECTORS["consistency"])
def test_published_vectors_of_consistency(name: str) -> None:
    vector = VECTORS["consistency"][name]
    roots = [base64.b64decode(vector[key] or "") for key in ("root1", "root2")]
    proof = [base64.b64decode(item) for item in vector["proof"] or ()]
    try:
        check_consistency(vector["size1"], roots[0], vector["size2"], roots[1], proof)
    except ProofError:
        assert vector["wantErr"]
    else:
        assert not vector["wantErr"]


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 700])
def test_every_entry_of_a_tiled_log_is_proven(size: int) -> None:
    tiled = Tiled(size)
    leaves = [leaf_hash(entry(number)) for number in range(size)]
    assert tiled.root == root_of(leaves)
    for index in range(size):
        assert tiled.reader.entry(index) == entry(index)
        path = inclusion(tiled.reader.node, index, size)
        check_inclusion(leaves[index], index, size, path, tiled.root)
        with pytest.raises(ProofError):
            check_inclusion(leaf_hash(b"other"), index, size, path, tiled.root)


@given(st.data())
def test_any_older_tree_is_the_beginning_of_a_newer_one_and_of_no_other(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 600))
    old = data.draw(st.integers(1, new))
    tiled = Tiled(new)
    leaves = [leaf_hash(entry(number)) for number in range(new)]
    older = root_of(leaves[:old])
    proof = consistency(tiled.reader.node, old, new)
    check_consistency(old, older, new, tiled.root, proof)
    with pytest.raises(ProofError):
        check_consistency(old, leaf_hash(older), new, tiled.root, proof)
    with pytest.raises(ProofError):
        check_consistency(old, older, new, tiled.root, [*proof, bytes(32)])


@given(st.integers(0, 70_000), st.integers(1, 600))
def test_a_writer_that_goes_on_makes_what_one_from_the_beginning_makes(start: int, more: int) -> None:
    start %= 520
    whole = Tiled(start + more)
    before = Tiled(start)
    writer = TileWriter.at(start, before.objects.get)
    assert writer.root() == before.root
    made = dict(before.objects)
    for number in range(start, start + more):
        made |= writer.add(entry(number), leaf_hash(entry(number)))
    made |= writer.edge()
    assert writer.root() == whole.root
    gone = set(edge_names(start)) - set(edge_names(start + more))
    assert {name: data for name, data in made.items() if name not in gone} == whole.objects


def test_a_log_of_three_levels() -> None:
    tiled = Tiled(256 * 256 + 300)
    assert len(tiled.objects["tile/2/000.p/1"]) == 32
    assert len(tiled.objects["tile/1/000"]) == 8192
    for index in (0, 255, 65_535, 65_536, 65_835):
        path = inclusion(tiled.reader.node, index, tiled.size)
        check_inclusion(leaf_hash(entry(index)), index, tiled.size, path, tiled.root)


@pytest.mark.parametrize(
    ("level", "n", "width", "name"),
    [
        (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (0, 0, 1, "tile/0/000.p/1"),
        (None, 1_000, 255, "tile/entries/x001/000.p/255"),
        (3, 999, 256, "tile/3/999"),
    ],
)
def test_names_are_those_of_tlog_tiles(level: int | None, n: int, width: int, name: str) -> None:
    assert tile_name(level, n, width) == name
    assert parse_name(name) == (level, n, width)


@pytest.mark.parametrize(
    "name",
    ["tile/0/1", "tile/0/0000", "tile/00/000", "tile/0/x000/001", "tile/0/001/002", "tile/0/000.p/0",
     "tile/0/000.p/256", "tile/0/000.p/007", "tile/64/000", "tile/0/../000", "tile/0/٠٠٠", "tile/-1/000", "0/000",
     "tile/entries/", "tile/0/"],
)  # fmt: skip
def test_names_that_no_log_writes_are_refused(name: str) -> None:
    with pytest.raises(TileError):
        parse_name(name)


@given(st.binary(max_size=60))
def test_no_bundle_fails_otherwise_than_by_its_own_error(bundle: bytes) -> None:
    try:
        found = entries_in(bundle)
    except TileError:
        return
    assert b"".join(len(item).to_bytes(2, "big") + item for item in found) == bundle


def test_a_partial_tile_is_the_beginning_of_a_wider_one() -> None:
    narrow, wide = Tiled(5), Tiled(200)
    for level, name in ((0, "tile/0/000.p/"), (None, "tile/entries/000.p/")):
        assert cut(level, wide.objects[name + "200"], 5) == narrow.objects[name + "5"]
        with pytest.raises(TileError):
            cut(level, narrow.objects[name + "5"], 6)


@pytest.mark.parametrize("spoilt", ["missing", "short", "beyond"])
def test_a_tile_that_is_not_as_it_should_be_proves_nothing(spoilt: str) -> None:
    tiled = Tiled(300)
    if spoilt == "missing":
        del tiled.objects["tile/0/001.p/44"]
    elif spoilt == "short":
        tiled.objects["tile/0/001.p/44"] = tiled.objects["tile/0/001.p/44"][:-1]
    size = 10_000 if spoilt == "beyond" else 300
    with pytest.raises(TileError):
        inclusion(TileReader(size, tiled.objects.get).node, 299, size)


def test_a_proof_file_reads_back_and_nothing_else_is_one() -> None:
    made = ProofFile(7, [bytes(32), b"\1" * 32], "o\n8\nAAA=\n\n— k s\n", b"why")
    text = made.text()
    assert ProofFile.parse(text) == made
    assert ProofFile.parse(ProofFile(0, [], "note").text()) == ProofFile(0, [], "note")
    for bad in (
        text.replace("v1", "v2"), text.replace("index 7", "index 07"), text.replace("index 7", "index -7"),
        text.replace("index 7", "index ٧"), text.replace("AQE", "A\nE"), text.replace("\n\n", "\n", 1), "",
    ):  # fmt: skip
        with pytest.raises(ProofError):
            ProofFile.parse(bad)


@given(st.text(max_size=120))
def test_no_text_makes_the_proof_parser_fail_otherwise_than_by_its_own_error(text: str) -> None:
    for prefix in ("", "c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\nindex "):
        try:
            ProofFile.parse(prefix + text)
        except ProofError as error:
            assert str(error)

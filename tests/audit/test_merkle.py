"""The tree against an implementation that nobody here wrote, and RFC 6962's own words."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash


@given(st.lists(st.binary(max_size=40), max_size=40))
def test_same_root_as_pymerkle(leaves: list[bytes]) -> None:
    theirs, ours = InmemoryTree(algorithm="sha256"), Frontier()
    for leaf in leaves:
        theirs.append_entry(leaf)
        ours.append(leaf_hash(leaf))
        assert ours.root() == theirs.get_root()
    assert Frontier.from_bytes(ours.size, ours.to_bytes()).root() == ours.root()


def _recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(_recursive_root(leaves[:split]), _recursive_root(leaves[split:]))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 255, 256, 257, 1000])
def test_same_root_as_the_recursive_definition(size: int) -> None:
    leaves = [str(n).encode() for n in range(size)]
    ours = Frontier()
    for leaf in leaves:
        ours.append(leaf_hash(leaf))
    assert ours.root() == _recursive_root(leaves)


def test_the_empty_tree() -> None:
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize(("size", "data"), [(1, b""), (2, bytes(64)), (3, bytes(63)), (0, bytes(32))])
def test_a_range_that_does_not_fit_its_size_is_refused(size: int, data: bytes) -> None:
    with pytest.raises(ValueError, match="compact range"):
        Frontier.from_bytes(size, data)

"""Merkle trees as RFC 6962 section 2.1 hashes them, with SHA-256; pure.

A `Frontier` is the compact range of a growing tree: the roots of its perfect subtrees, largest first, so that
appending costs log n and nothing else need be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """H(00 ‖ entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree of `size` leaves."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count() or any(len(h) != 32 for h in self.hashes):
            raise ValueError("a compact range has one hash for each bit set in its size")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.append_perfect(0, leaf)

    def append_perfect(self, height: int, node: bytes) -> None:
        """Add 2^height leaves by their root. The size so far must be a multiple of 2^height."""
        size = self.size >> height
        while size & 1:
            node = node_hash(self.hashes.pop(), node)
            size >>= 1
        self.hashes.append(node)
        self.size += 1 << height

    def root(self) -> bytes:
        """The tree's root; of the empty tree H("")."""
        if not self.hashes:
            return EMPTY_ROOT
        node = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            node = node_hash(left, node)
        return node

    def to_bytes(self) -> bytes:
        """The hashes, one after another."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """The inverse of `to_bytes`. ValueError when they do not fit the size."""
        return cls(size, (data[i : i + 32] for i in range(0, len(data), 32)))

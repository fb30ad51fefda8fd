"""Inclusion and consistency proofs (RFC 9162 section 2.1, which hashes as RFC 6962 does) and proof files (C2SP
tlog-proof). Pure; standard library alone.

A verifier checks `0 ≤ index < size` before anything else, and that a proof has neither too few hashes nor too many.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from audit.merkle import node_hash

Node = Callable[[int, int], bytes]
"""(height, index) → the root of the perfect subtree over leaves [index·2^height, (index+1)·2^height)."""

_HEAD: Final = "c2sp.org/tlog-proof@v1"
_MAX_HASHES: Final = 63
_MAX_SIZE: Final = 1 << 62


class ProofError(ValueError):
    """A proof that is malformed or does not hold."""


def _root_of(node: Node, first: int, size: int) -> bytes:
    """The root over leaves [first, first+size), where `first` is a multiple of the power of two below `size`."""
    height = size.bit_length() - 1
    if size == 1 << height:
        return node(height, first >> height)
    left = 1 << height
    return node_hash(node(height, first >> height), _root_of(node, first + left, size - left))


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """The path of leaf `index` in a tree of `size` leaves, from the bottom. ProofError when it is not in it."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not one of {size}")
    path, first = [], 0
    while size > 1:
        left = 1 << ((size - 1).bit_length() - 1)
        if index < left:
            path.append(_root_of(node, first + left, size - left))
            size = left
        else:
            path.append(_root_of(node, first, left))
            first, index, size = first + left, index - left, size - left
    return path[::-1]


def consistency(node: Node, old: int, new: int) -> list[bytes]:
    """That the tree of `old` leaves is the beginning of the one of `new`. ProofError unless 0 < old ≤ new."""
    if not 0 < old <= new:
        raise ProofError(f"{old} entries are not the beginning of {new}")
    if old == new:
        return []
    proof, first, size, whole = [], 0, new, True
    while old != size:
        left = 1 << ((size - 1).bit_length() - 1)
        if old <= left:
            proof.append(_root_of(node, first + left, size - left))
            size = left
        else:
            proof.append(_root_of(node, first, left))
            first, old, size, whole = first + left, old - left, size - left, False
    if not whole:
        proof.append(_root_of(node, first, size))
    return proof[::-1]


def _sized(hashes: list[bytes]) -> None:
    if len(hashes) > _MAX_HASHES or any(len(item) != 32 for item in hashes):
        raise ProofError("a proof has at most 63 hashes of 32 bytes")


def check_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2. ProofError unless the leaf hash stands at `index` under this root."""
    if not 0 <= index < size <= _MAX_SIZE:
        raise ProofError(f"entry {index} cannot be one of {size}")
    _sized([leaf, root])
    _sized(path)
    at, last, node = index, size - 1, leaf
    for item in path:
        if last == 0:
            raise ProofError("the proof has more hashes than the tree is high")
        if at & 1 or at == last:
            node = node_hash(item, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, item)
        at, last = at >> 1, last >> 1
    if last or node != root:
        raise ProofError(f"entry {index} is not what stands there under this root")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> None:
    """RFC 9162 section 2.1.4.2. ProofError unless the older tree is the beginning of the newer.

    Of an empty tree nothing is proven, so it is refused as the older one of two.
    """
    if not 0 < old <= new <= _MAX_SIZE:
        raise ProofError(f"a log of {new} entries does not extend one of {old}")
    _sized(proof)
    if old == new:
        if proof or old_root != new_root:
            raise ProofError(f"the log of {new} entries does not begin with those {old}")
        return
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    rest = list(proof) if at else [old_root, *proof]
    if not rest:
        raise ProofError("the proof is empty")
    older = newer = rest[0]
    for item in rest[1:]:
        if last == 0:
            raise ProofError("the proof has more hashes than the tree is high")
        if at & 1 or at == last:
            older, newer = node_hash(item, older), node_hash(item, newer)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            newer = node_hash(newer, item)
        at, last = at >> 1, last >> 1
    if last or older != old_root or newer != new_root:
        raise ProofError(f"the log of {new} entries does not begin with those {old}")


@dataclass(frozen=True, slots=True)
class ProofFile:
    """A `.tlog-proof`: where an entry stands, the path to the root, and the checkpoint that signs the root."""

    index: int
    path: list[bytes]
    checkpoint: str
    extra: bytes | None = None

    def text(self) -> str:
        """The file."""
        extra = "" if self.extra is None else f"extra {base64.b64encode(self.extra).decode()}\n"
        hashes = "".join(base64.b64encode(item).decode() + "\n" for item in self.path)
        return f"{_HEAD}\n{extra}index {self.index}\n{hashes}\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> ProofFile:
        """The inverse of `text`. ProofError; the checkpoint in it is not looked at."""
        head, blank, note = text.partition("\n\n")
        lines = head.split("\n")
        if not blank or lines[0] != _HEAD:
            raise ProofError("not a proof file")
        extra = None
        if len(lines) > 1 and lines[1].startswith("extra "):
            extra = _decode(lines.pop(1).removeprefix("extra "))
        number = lines[1].removeprefix("index ") if len(lines) > 1 and lines[1].startswith("index ") else ""
        if not (number.isascii() and number.isdigit()) or str(int(number[:19])) != number:
            raise ProofError("the index of a proof is not a canonical number")
        path = [_decode(line) for line in lines[2:]]
        _sized(path)
        return cls(int(number), path, note, extra)


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError("bad base64 in a proof") from error
    if base64.b64encode(data).decode() != text:
        raise ProofError("base64 that is not canonical in a proof")
    return data

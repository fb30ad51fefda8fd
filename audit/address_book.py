"""What a customer confirms of its telephone users' mail addresses: a leaf for each, a root over them, words to sign.

A leaf is a salted hash (RFC 6962), so that it tells nothing once its salt is gone. The words hold no personal value and
stand in the log in clear, so that they can be checked for ever. Standard library alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from audit.merkle import Frontier, leaf_hash, node_hash

SIGNED: Final = ("approver", "at_ms", "baseline", "before", "right", "root", "size", "wrong")
"""The fields of an `addresses.confirmed` entry's data that are signed, with its customer and phone system."""


def leaf(subject: str, email: str, *, is_right: bool, salt: str) -> bytes:
    """Of one person: this address is (not) theirs."""
    told = {"email": email.casefold(), "right": is_right, "salt": salt, "subject": subject}
    return leaf_hash(json.dumps(told, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode())


def root(leaves: Sequence[bytes]) -> bytes:
    """Over all of them, in their order."""
    frontier = Frontier()
    for one in leaves:
        frontier.append(one)
    return frontier.root()


def node_of(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """What audit.proofs.inclusion asks for: perfect subtrees."""
    levels = [list(leaves)]

    def node(height: int, index: int) -> bytes:
        while len(levels) <= height:
            below = levels[-1]
            levels.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
        return levels[height][index]

    return node


def words(customer: str, system: str, data: Mapping[str, Any]) -> str:
    """The text that is signed (all ASCII: ids, numbers and a root in hex)."""
    told = {"v": 1, "customer": customer, "system": system, **{name: data[name] for name in SIGNED}}
    return json.dumps(told, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def digest(customer: str, system: str, data: Mapping[str, Any]) -> str:
    """Hex SHA-256 of the words; its bytes are what the passkey answers."""
    return hashlib.sha256(words(customer, system, data).encode()).hexdigest()

"""Leaves, root and words of confirmed addresses: another way of computing them gives the same."""

from __future__ import annotations

import hashlib
import json

import pytest

from audit import address_book, canonical
from audit.merkle import leaf_hash, node_hash
from audit.proofs import check_inclusion, inclusion


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 200])
def test_every_leaf_is_proved_under_the_root(size: int) -> None:
    leaves = [leaf_hash(str(number).encode()) for number in range(size)]
    root, node = address_book.root(leaves), address_book.node_of(leaves)
    for index, leaf in enumerate(leaves):
        check_inclusion(leaf, index, size, inclusion(node, index, size), root)


def test_a_root_of_three_by_hand() -> None:
    a, b, c = (leaf_hash(x) for x in (b"a", b"b", b"c"))
    assert address_book.root([a, b, c]) == node_hash(node_hash(a, b), c)


def test_a_leaf_is_bound_to_all_of_it_and_to_no_capital_letters() -> None:
    given = {"subject": "sub_1", "email": "Zoë@b.example", "is_right": True, "salt": "5a"}
    made = address_book.leaf(**given)  # type: ignore[arg-type]
    told = {"email": "zoë@b.example", "right": True, "salt": "5a", "subject": "sub_1"}
    assert made == leaf_hash(json.dumps(told, sort_keys=True, separators=(",", ":")).encode())
    assert made == address_book.leaf(**(given | {"email": "zoë@B.example"}))  # type: ignore[arg-type]
    for other in ({"subject": "sub_2"}, {"email": "z@b.example"}, {"is_right": False}, {"salt": "5b"}):
        assert made != address_book.leaf(**(given | other))  # type: ignore[arg-type]


def test_the_words_are_canonical_and_hold_what_is_signed_alone() -> None:
    data = dict.fromkeys(address_book.SIGNED, 1) | {"signature": "x", "approver": "apr_1", "root": "00"}
    signed = {name: data[name] for name in address_book.SIGNED}
    text = address_book.words("cus_1", "sys_1", data)
    assert text == canonical.encode({"v": 1, "customer": "cus_1", "system": "sys_1", **signed}).decode()
    assert address_book.digest("cus_1", "sys_1", data) == hashlib.sha256(text.encode()).hexdigest()

"""Retention by the command line, and a certificate that somebody else can check."""

from __future__ import annotations

import base64

from audit import checkpoint
from audit.merkle import leaf_hash
from audit.proofs import ProofFile, check_inclusion
from tests.cli.conftest import BROOK, Closed


def test_what_was_deleted_is_certified_with_proofs(furnished: Closed) -> None:
    furnished.ok("contact", "remove", BROOK, "Omar Aziz")
    furnished.ok("retention", "set", BROOK, "--kind", "people", "--months", "1")
    furnished.refused("retention", "set", BROOK, "--kind", "access-log", "--months", "12")
    assert furnished.json("retention", "run", "--customer", BROOK) == []  # the contract runs on
    furnished.ok("retention", "contract", BROOK, "--ends", "2020-01-31 12:00")
    (due,) = furnished.json("retention", "run", "--customer", BROOK, "--dry-run")
    assert (due["kind"], due["state"], due["count"]) == ("people", "would go", 1)
    assert "nothing of this customer's was deleted" in furnished.refused("retention", "certificate", BROOK)
    (went,) = furnished.json("retention", "run", "--customer", BROOK)
    assert went["state"] == "deleted"
    assert "2020-01-31" in went["why"]
    (row,) = furnished.json("retention", "ledger", "--customer", BROOK)
    assert row["state"] == "deleted"

    told = furnished.json("retention", "certificate", BROOK)
    (one,) = told["entries"]
    proof = ProofFile.parse(one["proof"])
    root = checkpoint.verify(proof.checkpoint, told["vkey"], f"closed.frameroom.example/{told['log']}")
    entry = base64.b64decode(one["entry"])
    check_inclusion(leaf_hash(entry), proof.index, root.size, proof.path, root.root)
    assert b'"kind":"retention.deleted"' in entry
    assert row["event"].encode() in entry
    assert furnished.json("audit", "verify")["ok"]
    assert "Omar Aziz" not in furnished.ok("audit", "tail", "--customer", BROOK, "--count", "1000")

"""The same log, checked by verifiers that nobody here wrote (pymerkle, sigstore), and what each gets wrong."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion
from pymerkle.proof import InvalidProof
from sigstore._internal import merkle as sigstore_merkle
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, verify_checkpoint
from sigstore._internal.trust import Keyring, RekorKeyring
from sigstore.errors import VerificationError
from sigstore.models import TransparencyLogEntry
from sigstore_models.common import v1 as common
from sigstore_models.rekor import v1 as rekor

from audit import checkpoint
from audit.checkpoint import Checkpoint, NoteError, key_id, parse_vkey
from audit.merkle import leaf_hash
from audit.proofs import ProofError, ProofFile, check_consistency, check_inclusion, consistency, inclusion
from audit.publisher import fetcher
from audit.reportfile import Report
from audit.tiles import TileReader
from audit.verify import main as verify

from .conftest import CUSTOMER, House
from .reported import Story

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "transparency-dev-merkle.json").read_text(encoding="utf-8")
)


@pytest.fixture
async def story(house: House) -> Story:
    made = Story(house)
    await made.whole()
    return made


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def entry_of(index: int, size: int, root: bytes, path: list[bytes], body: bytes, note: str, log: bytes) -> Any:
    """As sigstore holds an entry of a log."""
    return TransparencyLogEntry(
        rekor.TransparencyLogEntry.model_validate(
            {
                "logIndex": str(index), "logId": {"keyId": b64(log)}, "kindVersion": {"kind": "x", "version": "1"},
                "canonicalizedBody": b64(body),
                "inclusionProof": {
                    "logIndex": str(index), "rootHash": b64(root), "treeSize": str(size),
                    "hashes": [b64(item) for item in path], "checkpoint": {"envelope": note},
                },
            }
        )
    )  # fmt: skip


def keyring(vkey: str) -> RekorKeyring:
    """Our verifier key as sigstore takes one."""
    spki = Ed25519PublicKey.from_public_bytes(parse_vkey(vkey)[1]).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    given = {"rawBytes": b64(spki), "keyDetails": "PKIX_ED25519", "validFor": {"start": "2020-01-01T00:00:00Z"}}
    return RekorKeyring(Keyring([common.PublicKey.model_validate_json(json.dumps(given))]))


def extracted(report: Report, vkey: str, folder: Path) -> Path:
    """The report's files for tools of others, as the verifier writes them."""
    file = folder / "report.txt"
    file.write_text(report.text(), encoding="utf-8")
    assert verify([str(file), "--vkey", vkey, "--extract", str(folder / "out")]) == 0
    return folder / "out"


async def test_pymerkle_rebuilds_the_root_from_the_bundles_of_entries(story: Story) -> None:
    held = checkpoint.parse(story.note)
    await story.visited("ses_" + "a" * 24, "op_" + "a" * 24)
    await story.house.sequence()
    root = checkpoint.parse(story.note)
    reader = TileReader(root.size, fetcher(story.house.objects, CUSTOMER))
    tree = InmemoryTree(algorithm="sha256")
    for index in range(root.size):
        tree.append_entry(reader.entry(index))
    assert tree.get_root() == root.root
    assert tree.get_root(held.size) == held.root
    # Its proofs are ours, hash for hash, and hold; its index counts from one.
    for index in range(root.size):
        proof = tree.prove_inclusion(index + 1, root.size)
        verify_inclusion(leaf_hash(reader.entry(index)), root.root, proof)
        assert sorted(proof.path) == sorted([leaf_hash(reader.entry(index)), *inclusion(reader.node, index, root.size)])
    # Of consistency its proofs are of a form of their own: each side takes the same two roots by its own.
    verify_consistency(held.root, root.root, tree.prove_consistency(held.size, root.size))
    check_consistency(held.size, held.root, root.size, root.root, consistency(reader.node, held.size, root.size))


async def test_sigstore_checks_checkpoint_and_inclusion_of_every_entry_of_a_report(
    story: Story, tmp_path: Path
) -> None:
    vkey = story.house.signer.vkey
    folder = extracted(await story.report(), vkey, tmp_path)
    name, public = parse_vkey(vkey)
    proofs = sorted(folder.glob("*.tlog-proof"))
    assert len(proofs) > 10
    for file in proofs:
        proof = ProofFile.parse(file.read_text(encoding="utf-8"))
        root = checkpoint.parse(proof.checkpoint)
        body = file.with_suffix(".entry").read_bytes()
        good = entry_of(
            proof.index, root.size, root.root, proof.path, body, proof.checkpoint, key_id(name, public)
        )  # fmt: skip
        verify_checkpoint(keyring(vkey), good)
        sigstore_merkle.verify_merkle_inclusion(good)
        bad = entry_of(
            proof.index, root.size, root.root, proof.path, body + b" ", proof.checkpoint, key_id(name, public)
        )
        with pytest.raises(VerificationError):
            sigstore_merkle.verify_merkle_inclusion(bad)
    note = proof.checkpoint.replace(f"\n{root.size}\n", f"\n{root.size + 1}\n", 1)
    forged = entry_of(proof.index, root.size, root.root, proof.path, body, note, key_id(name, public))
    with pytest.raises(VerificationError):
        verify_checkpoint(keyring(vkey), forged)


# --- the public vectors, as the others read them ---


def _sigstore_says(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bool:
    # A vector gives the leaf's hash and not the leaf: hashing it is all that is left out.
    monkeypatch.setattr(sigstore_merkle, "_hash_leaf", lambda leaf: leaf)
    leaf, root = base64.b64decode(vector["leafHash"] or ""), base64.b64decode(vector["root"] or "")
    path = [base64.b64decode(item) for item in vector["proof"] or ()]
    try:
        made = entry_of(vector["leafIdx"], vector["treeSize"], root, path, leaf, "x", b"1234")
        sigstore_merkle.verify_merkle_inclusion(made)
    except (VerificationError, ValidationError):
        return False
    return True


SIGSTORE_WRONG = frozenset({"single-entry/empty-root-and-leaf"})
"""A leaf and a root of no bytes at all: sigstore compares them and finds them the same."""


@pytest.mark.parametrize("name", VECTORS["inclusion"])
def test_sigstore_on_the_public_vectors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = VECTORS["inclusion"][name]
    assert _sigstore_says(vector, monkeypatch) is (vector["wantErr"] is (name in SIGSTORE_WRONG))


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ("a size with a leading zero", lambda size, root: f"o\n0{size}\n{root}\n"),
        ("a size with a sign", lambda size, root: f"o\n+{size}\n{root}\n"),
        ("a size with an underscore", lambda size, root: f"o\n1_{size}\n{root}\n"),
        ("base64 with characters that are none", lambda size, root: f"o\n{size}\n*{root}\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_notes_that_sigstore_takes_and_we_refuse(house: House, what: str, note: Any) -> None:
    text = note(8, b64(bytes(32)))
    signed = f"{text}\n{house.signer.signature(text)}"
    assert SignedCheckpoint.from_text(signed)
    with pytest.raises(NoteError):
        checkpoint.verify(signed, house.signer.vkey, "o")


def test_a_false_signature_behind_a_good_one_that_sigstore_takes_and_we_refuse(house: House) -> None:
    vkey = house.signer.vkey
    name, public = parse_vkey(vkey)
    blob = b64(key_id(name, public) + bytes(64))
    note = house.signer.sign(Checkpoint("o", 8, bytes(32))) + f"— {name} {blob}\n"
    verify_checkpoint(keyring(vkey), entry_of(0, 8, bytes(32), [], b"", note, key_id(name, public)))
    with pytest.raises(NoteError):
        checkpoint.verify(note, vkey, "o")


def test_another_log_of_the_deployment_that_sigstore_takes_and_we_refuse(house: House) -> None:
    vkey = house.signer.vkey
    note = house.signer.sign(Checkpoint("o/another", 8, bytes(32)))
    verify_checkpoint(keyring(vkey), entry_of(0, 8, bytes(32), [], b"", note, key_id(*parse_vkey(vkey))))
    with pytest.raises(NoteError):
        checkpoint.verify(note, vkey, "o")


def test_an_index_that_pymerkle_does_not_look_at_and_we_do() -> None:
    tree = InmemoryTree(algorithm="sha256")
    for number in range(8):
        tree.append_entry(str(number).encode())
    proof, leaf, root = tree.prove_inclusion(3, 8), leaf_hash(b"2"), tree.get_root()
    verify_inclusion(leaf, root, proof)  # whatever index the prover speaks of: it is not asked
    with pytest.raises(InvalidProof):
        verify_inclusion(leaf, root, proof, index=4, size=8)  # unless whoever calls remembers to
    path = [item for item in proof.path if item != leaf]
    check_inclusion(leaf, 2, 8, path, root)
    for index in (-1, 3, 8, 10):
        with pytest.raises(ProofError):
            check_inclusion(leaf, index, 8, path, root)

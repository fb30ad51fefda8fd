"""Signed notes: what is ours holds, and nothing else does."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit import checkpoint
from audit.checkpoint import Checkpoint, NoteError, Signer

SIGNER = Signer("frameroom.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ORIGIN = "frameroom.example/cus_" + "1" * 24
NOTE = SIGNER.sign(Checkpoint(ORIGIN, 42, bytes(32)))


def test_what_was_signed_holds() -> None:
    assert checkpoint.verify(NOTE, SIGNER.vkey, ORIGIN) == Checkpoint(ORIGIN, 42, bytes(32))


def test_go_vector() -> None:
    """The example of golang.org/x/mod/sumdb/note: its published key and note, read by us."""
    vector = json.loads((Path(__file__).parents[1] / "vectors/sumdb-note.json").read_text())
    name, public = checkpoint.parse_vkey(vector["vkey"])
    assert name == "PeterNeumann"
    assert checkpoint.key_id(name, public).hex() == "c74f20a3"


@given(st.integers(0, len(NOTE) - 1), st.characters(exclude_categories=["Cs"]))
def test_any_character_changed_is_refused(place: int, other: str) -> None:
    changed = NOTE[:place] + other + NOTE[place + 1 :]
    if changed != NOTE:
        with pytest.raises(NoteError):
            checkpoint.verify(changed, SIGNER.vkey, ORIGIN)


@given(st.text(max_size=300))
def test_parsers_raise_nothing_else(text: str) -> None:
    for call in (checkpoint.parse, checkpoint.parse_vkey):
        with pytest.raises(NoteError):
            call(text)


@pytest.mark.parametrize("size", ["", "042", "+42", "-1", "4 2", "٤٢", "1e3", "0x10", "42\n\n", "9" * 30])
def test_numbers_that_are_not_canonical(size: str) -> None:
    with pytest.raises(NoteError):
        checkpoint.parse(NOTE.replace("\n42\n", f"\n{size}\n"))


def test_another_log_of_the_same_deployment_is_refused() -> None:
    with pytest.raises(NoteError, match="not of"):
        checkpoint.verify(NOTE, SIGNER.vkey, ORIGIN + "2")


def test_signatures_of_others_are_passed_over_and_never_enough() -> None:
    other = Signer("witness.example", Ed25519PrivateKey.generate())
    cosigned = NOTE + other.sign(checkpoint.parse(NOTE)).splitlines()[-1] + "\n"
    unknown_type = f"— frameroom.example {base64.b64encode(b'1234' + bytes([6] * 70)).decode()}\n"
    assert checkpoint.verify(cosigned + unknown_type, SIGNER.vkey, ORIGIN).size == 42
    with pytest.raises(NoteError, match="not signed"):
        checkpoint.verify(other.sign(checkpoint.parse(NOTE)), SIGNER.vkey, ORIGIN)


def test_our_key_with_a_false_signature_is_fatal_even_beside_a_good_one() -> None:
    blob = checkpoint.key_id(SIGNER.name, SIGNER.public) + bytes(64)
    with pytest.raises(NoteError, match="does not hold"):
        checkpoint.verify(NOTE + f"— frameroom.example {base64.b64encode(blob).decode()}\n", SIGNER.vkey, ORIGIN)


def test_a_flood_of_signatures_is_refused() -> None:
    with pytest.raises(NoteError, match="too many"):
        checkpoint.verify(NOTE + NOTE.splitlines()[-1].join(["", "\n"]) * 100, SIGNER.vkey, ORIGIN)

"""A handover: whoever pinned the old key follows it; nobody else's note leads anywhere."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import checkpoint
from audit.checkpoint import Checkpoint, NoteError, Signer
from audit.rotation import follow, handover, keys_of, lineage, successor


def key(name: str = "d.example") -> Signer:
    return Signer(name, Ed25519PrivateKey.generate())


def test_the_pinned_key_leads_to_the_newest_however_often_it_changed() -> None:
    first, second, third = key(), key(), key()
    notes = [handover(second, third), handover(first, second)]
    assert follow(first.vkey, notes) == [first.vkey, second.vkey, third.vkey]
    assert follow(second.vkey, notes) == [second.vkey, third.vkey]
    assert lineage(third.vkey, notes) == [third.vkey, second.vkey, first.vkey]
    note = third.sign(Checkpoint("d.example/x", 1, bytes(32)))
    assert checkpoint.verify(note, follow(first.vkey, notes), "d.example/x").size == 1
    with pytest.raises(NoteError, match="not signed"):
        checkpoint.verify(note, follow(first.vkey, notes[1:]), "d.example/x")


def test_a_note_that_the_old_key_did_not_sign_leads_nowhere() -> None:
    first, second, mallory = key(), key(), key()
    good = handover(first, second)
    text = good.partition("\n\n")[0] + "\n"
    only_new = f"{text}\n{second.signature(text)}"
    only_old = f"{text}\n{first.signature(text)}"
    swapped = good.replace(second.vkey, mallory.vkey)
    for bad in (only_new, only_old, swapped, handover(mallory, second), good[:-9] + "AAAAAAA=\n", "", "x\n\ny"):
        assert follow(first.vkey, [bad]) == [first.vkey]
    for bad in (only_new, only_old, swapped, ""):
        with pytest.raises(NoteError):
            keys_of(bad)


def test_a_handover_stays_within_a_deployment_and_is_to_another_key() -> None:
    first = key()
    for other in (key("other.example"), first):
        with pytest.raises(NoteError):
            handover(first, other)
    with pytest.raises(NoteError):
        successor(handover(first, key()), key().vkey)


def test_a_checkpoint_is_no_handover() -> None:
    first = key()
    assert follow(first.vkey, [first.sign(Checkpoint("frameroom log key handover v1", 1, bytes(32)))]) == [first.vkey]

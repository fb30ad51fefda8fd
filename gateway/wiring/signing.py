"""The key that signs the log, and handing it over to a new one (audit/rotation.py).

Steps of a handover, each safe to be cut short and done again: 1 the new key is made, beside the old one, 2 the note
by both goes into the object store, 3 the new key takes the old one's place (at the latest when the deployment is
opened next), 4 every log gets `log.key_changed`, and approvers are told. From step 2 on the old key signs no more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from audit import rotation
from audit.checkpoint import NoteError, Signer
from audit.storage import Objects
from gateway.errors import UnavailableError

_FOLDER: Final = "handovers"
_NAME: Final = "log-signing.pem"
_NEXT: Final = "log-signing.next.pem"


@dataclass(frozen=True, slots=True)
class Signing:
    """The key that signs, every verifier key that its log was signed with, newest first, and the handovers."""

    signer: Signer
    trusted: tuple[str, ...]
    handovers: tuple[str, ...]


def private(path: Path) -> Path:
    """The path of a key, if it is there and nobody else can read it; UnavailableError otherwise."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UnavailableError(f"the key {path} cannot be used ({error.strerror})") from error
    if mode & 0o077:
        raise UnavailableError(f"{path} can be read by others", next_step=f"chmod 600 {path}")
    return path


def write_key(path: Path) -> None:
    """A new signing key in a file of its own. FileExistsError when there is one."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def _load(path: Path, deployment: str) -> Signer:
    key = load_pem_private_key(private(path).read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise UnavailableError(f"the log's signing key {path} is not an Ed25519 key")
    return Signer(deployment, key)


def _notes(objects: Objects) -> list[str]:
    return [(objects.get(name) or b"").decode(errors="replace") for name in objects.list(_FOLDER)]


def signing(folder: Path, deployment: str, objects: Objects) -> Signing:
    """The deployment's, from its folder of keys; finishes step 3 of a handover that was cut short.

    UnavailableError when the key was handed over to one that is not here: it may not sign any more.
    """
    signer, notes = _load(folder / _NAME, deployment), _notes(objects)
    try:
        handed = dict(map(rotation.keys_of, notes))
        if signer.vkey in handed:
            following = folder / _NEXT
            if not following.exists() or _load(following, deployment).vkey != handed[signer.vkey]:
                raise UnavailableError(
                    "the log's signing key here was handed over to a newer one, which is not here",
                    next_step="Put back the newest backup of the keys: the old key may not sign any more.",
                )
            os.replace(following, folder / _NAME)
            signer = _load(folder / _NAME, deployment)
        return Signing(signer, tuple(rotation.lineage(signer.vkey, notes)), tuple(notes))
    except NoteError as error:
        raise UnavailableError(
            f"a handover of the log's signing key in the object store does not hold ({error})",
            next_step=f"Put back the objects below {_FOLDER}/ as they were.",
        ) from error


def hand_over(folder: Path, deployment: str, objects: Objects) -> str:
    """Steps 1 and 2; the note. ConflictError is not needed: done twice at once, one of the two notes is refused."""
    old = signing(folder, deployment, objects)
    if not (folder / _NEXT).exists():
        write_key(folder / _NEXT)
    note = rotation.handover(old.signer, _load(folder / _NEXT, deployment))
    if not objects.put_new(f"{_FOLDER}/{len(old.handovers):06}", note.encode()):
        raise UnavailableError("somebody else is handing the key over right now", next_step="Look again in a moment.")
    return note

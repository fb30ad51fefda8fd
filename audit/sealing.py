"""Sealing what is personal: commitments, and payloads under keys of the key store.

AES-256-GCM is not key-committing, so what binds a sealed value is its commitment SHA256(salt32 ‖ canonical value)
in the leaf. Destroying a wrapped key (audit/keystore.py) erases every payload under it and leaves every proof whole.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from audit import canonical
from audit.events import Personal
from audit.keystore import FileKeyStore as FileKeyStore
from audit.wrapping import FileMasterKey as FileMasterKey
from audit.wrapping import KeyDestroyed as KeyDestroyed
from audit.wrapping import KeyMissing as KeyMissing
from audit.wrapping import KeyStoreAway as KeyStoreAway
from audit.wrapping import MasterKeyAway as MasterKeyAway
from audit.wrapping import SealingError as SealingError
from audit.wrapping import open_sealed as open_sealed
from audit.wrapping import seal as seal
from audit.wrapping import seal_apart as seal_apart


def commitment(salt: bytes, value: Any) -> str:
    """Hex SHA256(salt ‖ canonical value)."""
    return hashlib.sha256(salt + canonical.encode(value)).hexdigest()


_field: Final = attrgetter("field")


def seal_personal(
    keys: FileKeyStore, log: str, event_id: str, personal: Sequence[Personal]
) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """Commitments by field, and one sealed payload a key: [(key id, bytes)]."""
    commitments: dict[str, str] = {}
    by_key: dict[str, list[str]] = {}
    # In the canonical order of the fields; each value is written once, for its commitment and for what is sealed.
    for item in sorted(personal, key=_field) if len(personal) > 1 else personal:
        salt, value = secrets.token_bytes(32), canonical.written(item.value)
        commitments[item.field] = hashlib.sha256(salt + canonical.as_bytes(value)).hexdigest()
        told = f'{canonical.quoted(item.field)}:{{"salt":"{salt.hex()}","value":{value}}}'
        by_key.setdefault(keys.living(log, item.key_id), []).append(told)
    sealed = [
        (key_id, seal(keys.get_or_create(log, key_id), _context(event_id, key_id), f"{{{','.join(told)}}}".encode()))
        for key_id, told in by_key.items()
    ]
    return commitments, sealed


def payload(keys: FileKeyStore, log: str, event_id: str, key_id: str, sealed: bytes) -> dict[str, Any]:
    """{field: {"salt": hex, "value": value}} as it was sealed, checked against nothing. KeyDestroyed, SealingError."""
    key = keys.get(log, key_id)
    if not sealed:
        raise KeyDestroyed(key_id)  # the ciphertext alone went: something else stands under the same key
    found: dict[str, Any] = json.loads(open_sealed(key, _context(event_id, key_id), sealed))
    return found


def open_personal(
    keys: FileKeyStore, log: str, event_id: str, key_id: str, sealed: bytes, commitments: Mapping[str, str]
) -> dict[str, Any]:
    """The fields in clear, each checked against its commitment. KeyDestroyed when erased; SealingError when false."""
    fields: dict[str, Any] = {}
    for name, item in payload(keys, log, event_id, key_id, sealed).items():
        if commitments.get(name) != commitment(bytes.fromhex(item["salt"]), item["value"]):
            raise SealingError(f"{name} is not what the log committed to")
        fields[name] = item["value"]
    return fields


def _context(event_id: str, key_id: str) -> bytes:
    return f"payload\0{event_id}\0{key_id}".encode()

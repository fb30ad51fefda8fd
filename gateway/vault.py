"""Sealing credentials and factors under the vault's key, bound to whose they are.

That key is one of the key store's. It is unwrapped once, so that no credential is opened by way of a token, and rows
that an old backup brings back open under a master key that was changed since.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from audit.events import OPERATOR_LOG
from audit.sealing import FileKeyStore, open_sealed, seal
from connectors.contract import Credential
from gateway.errors import StateError


class Vault:
    """Envelope encryption with a context, and keyed digests for looking things up without storing them."""

    def __init__(self, keys: FileKeyStore) -> None:
        """Have the key at hand. SealingError when it is missing; MasterKeyAway."""
        self._key = keys.get_first(OPERATOR_LOG, "vault")
        self._index = keys.derive("keyed index")

    def seal(self, context: str, plain: bytes) -> bytes:
        """Seal for one context ("credential:cus_…:sys_…"); opens with no other."""
        return seal(self._key, _context(context), plain)

    def open(self, context: str, sealed: bytes) -> bytes:
        """The inverse; audit.sealing.SealingError when it is not of this context."""
        return open_sealed(self._key, _context(context), sealed)

    def seal_credential(self, customer: str, system: str, credential: Credential) -> bytes:
        """A phone system's credential."""
        plain = {"login": credential.login, "password": credential.password, "private_key": credential.private_key}
        return self.seal(f"credential:{customer}:{system}", json.dumps(plain).encode())

    def open_credential(self, customer: str, system: str, sealed: bytes) -> Credential:
        """Open it, after the phone system's identity was proven. StateError when none was given yet."""
        if not sealed:
            raise StateError("it has no credential yet", next_step="The operator: `frameroom system credential`.")
        return Credential(**json.loads(self.open(f"credential:{customer}:{system}", sealed)))

    def digest(self, *parts: str) -> str:
        """A keyed digest (hex): stable, and meaningless without the key."""
        return hmac.new(self._index, "\0".join(parts).encode(), hashlib.sha256).hexdigest()

    def subject(self, customer: str, system: str, person_id: str) -> str:
        """The opaque id under which a phone system's user stands in the log."""
        return "sub_" + self.digest("subject", customer, system, person_id)[:32]


def _context(context: str) -> bytes:
    return b"vault\0" + context.encode()

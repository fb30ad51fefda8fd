"""A passkey in software (ES256, attestation "none"): what a browser would answer, with the flags that a test wants."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any
from urllib.parse import urlsplit

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from audit.assertions import from_text, to_text


class SoftwarePasskey:
    """One credential on one site."""

    def __init__(self, site: str) -> None:
        self.site, self.id, self.handle, self.flags = site, os.urandom(16), "", 0x05
        self.key = ec.generate_private_key(ec.SECP256R1())

    def _head(self, flags: int) -> bytes:
        return hashlib.sha256((urlsplit(self.site).hostname or "").encode()).digest() + bytes([flags]) + bytes(4)

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.site}).encode()

    def _answer(self, **response: bytes) -> dict[str, Any]:
        given = {name: to_text(value) for name, value in response.items()}
        return {"id": to_text(self.id), "rawId": to_text(self.id), "type": "public-key", "response": given}

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """navigator.credentials.create."""
        self.handle = options["user"]["id"]
        at = self.key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32, "big"), -3: at.y.to_bytes(32, "big")})
        data = self._head(self.flags | 0x40) + bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cose
        made = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options["challenge"])
        return self._answer(clientDataJSON=client, attestationObject=made)

    def get(self, challenge: str) -> dict[str, Any]:
        """navigator.credentials.get."""
        data, client = self._head(self.flags), self._client("webauthn.get", challenge)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=client, authenticatorData=data, signature=signature, userHandle=from_text(self.handle)
        )

"""A FIDO2 authenticator in software: what a security key would sign, without one."""

from __future__ import annotations

from hashlib import sha256

import asyncssh
from asyncssh.packet import SSHPacket, String, UInt32
from asyncssh.public_key import decode_ssh_public_key


class SoftwareFido(asyncssh.SSHKeyPair):
    """A FIDO2 authenticator in software (PROTOCOL.u2f), with the flags that the test wants."""

    _key_type = "sk"

    def __init__(self, flags: int) -> None:
        self._secret = asyncssh.generate_private_key("ssh-ed25519")
        point = SSHPacket(self._secret.public_data)
        point.get_string()
        algorithm = b"sk-ssh-ed25519@openssh.com"
        public = String(algorithm) + String(point.get_string()) + String(b"ssh:")
        super().__init__(algorithm, algorithm, (algorithm,), (algorithm,), public, b"fido", None)
        self._flags = flags

    def line(self) -> str:
        """Its public key as OpenSSH writes it."""
        return decode_ssh_public_key(self.public_data).export_public_key().decode()

    def sign(self, data: bytes) -> bytes:
        """As the authenticator would: over application, flags, counter and message."""
        head = bytes([self._flags]) + UInt32(1)
        blob = self._secret.sign(sha256(b"ssh:").digest() + head + sha256(data).digest(), b"ssh-ed25519")
        inner = SSHPacket(blob)
        inner.get_string()
        return String(self.algorithm) + String(inner.get_string()) + head

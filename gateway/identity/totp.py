"""One-time codes by the clock (RFC 6238: SHA-1, six digits, 30 s), for engineers at the door and approvers who read."""

from __future__ import annotations

import secrets
from typing import Final

import pyotp

_STEP_S: Final = 30
_FREE_FAILURES: Final = 5
_LONGEST_WAIT_S: Final = 900


def new_secret() -> str:
    """160 random bits in base32, twice what RFC 4226 section 4 wants at least."""
    return pyotp.random_base32(32)


def step_of(secret: str, code: str, now_ms: int, last_step: int) -> int | None:
    """The time step that `code` is of, if it is newer than the last one used (RFC 6238 section 5.2); a step to either
    side is allowed for clocks. `now_ms`: Unix ms."""
    if len(code) != 6 or not code.isascii() or not code.isdigit():
        return None
    totp, current = pyotp.TOTP(secret), now_ms // 1000 // _STEP_S
    matching = [s for s in (current - 1, current, current + 1) if secrets.compare_digest(totp.generate_otp(s), code)]
    return matching[0] if matching and matching[0] > last_step else None


def wait_ms(failures: int) -> int:
    """How long nothing is accepted after so many wrong codes in a row: from the sixth on, each time twice as long, a
    quarter of an hour at most."""
    over = max(0, failures - _FREE_FAILURES)
    return min(2**over, _LONGEST_WAIT_S) * 1000 if over else 0


def address_of(secret: str, name: str, issuer: str) -> str:
    """The otpauth: address that an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)

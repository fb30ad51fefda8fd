"""Canonical JSON (RFC 8785), the only form in which an entry is hashed.

`encode` refuses what I-JSON or two languages would read differently: floats, integers beyond 2^53-1, lone surrogates,
keys that are not text, and any type JSON does not have.
"""

from __future__ import annotations

import json.encoder
from collections.abc import Callable
from typing import Any, Final

import rfc8785

MAX_INT: Final = 2**53 - 1
_MAX_DEPTH: Final = 16

# RFC 8785 orders keys by UTF-16 code units and escapes exactly what json does with ensure_ascii=False. For keys of
# ASCII alone the two orders are the same, so that the C encoder gives the same bytes, seven times faster
# (tests/audit/test_canonical.py holds the two against each other).
_encoder: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _built_once() -> Callable[[Any], str]:
    """`_encoder.encode`, which makes its C part anew for every value: most of what a short value costs."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without it
        return _encoder.encode
    # No guard against circles: `_check` has walked the value, and not too deeply.
    in_c = make(None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", True, False, False)
    return lambda value: "".join(in_c(value, 0))


_written: Final = _built_once()
quoted: Final[Callable[[str], str]] = json.encoder.encode_basestring
"""Text as JSON has it; `as_bytes` sees lone surrogates."""


class CanonicalError(ValueError):
    """A value that cannot be canonical: a float, an integer beyond 2^53-1, a lone surrogate, another type."""


def encode(value: Any) -> bytes:
    """The canonical bytes of `value`. CanonicalError when it has none."""
    return as_bytes(written(value))


def written(value: Any) -> str:
    """The same as text, for whoever writes an object around it; `as_bytes` sees lone surrogates."""
    if _check(value, _MAX_DEPTH):
        return _written(value)
    try:
        return rfc8785.dumps(value).decode()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise CanonicalError("text with a lone surrogate is not canonical JSON") from error


def as_bytes(text: str) -> bytes:
    """What was written, as it is hashed. CanonicalError when there is a lone surrogate in it."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("text with a lone surrogate is not canonical JSON") from error


def _check(value: Any, depth: int) -> bool:
    """True when every key is ASCII. CanonicalError for what may not stand in an entry."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        if -MAX_INT <= value <= MAX_INT:
            return True
        raise CanonicalError("an integer beyond 2^53-1 is not read alike everywhere")
    if not depth:
        raise CanonicalError("nested too deeply")
    # Every item is looked at, whatever was found before it; text, the most of any entry, needs no call.
    if kind is list or kind is tuple:
        return False not in [type(item) is str or _check(item, depth - 1) for item in value]
    if kind is dict:
        ascii_keys = True
        for key, item in value.items():
            if type(key) is not str:
                raise CanonicalError("a key that is not text")
            kind = type(item)
            if kind is not str and not (kind is int and 0 <= item <= MAX_INT) and not _check(item, depth - 1):
                ascii_keys = False
            if not key.isascii():
                ascii_keys = False
        return ascii_keys
    if isinstance(value, str):
        return True
    raise CanonicalError(f"{kind.__name__} has no canonical form")

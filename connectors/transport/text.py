"""Text of a phone system's answers: fit to be kept, and fit to be compared. Nothing here does I/O."""

from __future__ import annotations

import unicodedata


def whole(text: str) -> str:
    """Without halves of a surrogate pair, which JSON can say and nothing that a text goes into later can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def folded(text: str) -> str:
    """As searches compare: whatever its case, and however its accents are put together. Never to tell whether two names
    are one's: see `same`."""
    return unicodedata.normalize("NFC", text).casefold()


def same(one: str, other: str) -> bool:
    """Whether two addresses, or names of mailboxes, are one: whatever their case, in ASCII alone. Other letters can
    become those of somebody else when they are made small (a long s is an s then)."""
    return one == other or (one.isascii() and other.isascii() and one.lower() == other.lower())

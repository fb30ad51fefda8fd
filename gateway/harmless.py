"""Text from outside, fit for a terminal."""

from __future__ import annotations

import re
from typing import Final

# Control characters, characters that turn the writing direction, separators of lines, halves of a surrogate pair.
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """A value from outside: control and direction-changing characters made visible."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)

"""The words of a report, by their version: every one that was ever shipped, so that a report once made can be checked
for good. Pure; standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from audit import told

Maker = Callable[[Mapping[str, Any], str, int, Iterable[tuple[int, Mapping[str, Any], Mapping[str, Any]]]], str]

FIRST: Final = 1
"""Of reports that do not say their version."""
NEWEST: Final = told.VERSION
MAKERS: Final[Mapping[int, Maker]] = {told.VERSION: told.report}

"""Whether a guard draws its line where it should: values just within are taken, and those just beyond are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.errors import InvalidValue
from connectors.guard import Guard


def misjudged(
    guard: Guard, name: str, usual: Mapping[str, Any], field: str, taken: Sequence[Any], refused: Sequence[Any]
) -> list[Any]:
    """Those of one field of a request that the guard refused, changed, or took, and should not have."""
    wrong = []
    for value, fine in [(value, True) for value in taken] + [(value, False) for value in refused]:
        try:
            made: list[Any] = [guard.render(name, **{**usual, field: value}).values[field]]
        except InvalidValue:
            made = []
        if made != ([value] if fine else []):
            wrong.append(value)
    return wrong

"""A phone system found by a number of its range, however range and number are written."""

from __future__ import annotations

import pytest

from gateway.access.places import in_range


@pytest.mark.parametrize(
    ("number", "ranges", "found"),
    [
        ("020 7946 0005", "+442079460000-99", True),
        ("+44 20 7946 0099", "020 7946 0000 to 0099", True),
        ("02079460100", "020 7946 0000 to 0099", False),
        ("02079460000", "+442079460000 - +442079460099", True),
        ("02079460050", "0113 496 0000-9, +442079460000–99", True),
        ("0113 496 0009", "0113 496 0000-9; +442079460000-99", True),
        ("0113 496 0010", "0113 496 0000-9", False),
        ("020 7946 0000", "020-7946-0000", True),
        ("020 7946 0001", "020-7946-0000", False),
        ("+1 212 555 0150", "+12125550100-99", True),
        ("020 7946 0000", "", False),
        ("020 7946 0000", "all of them - ask Kate", False),
        ("not a number", "+442079460000-99", False),
    ],
)
def test_in_range(number: str, ranges: str, found: bool) -> None:
    assert in_range(number, ranges) is found

"""What the benches call flat can be missed on either side."""

import pytest

from bench.measuring import flat


@pytest.mark.parametrize(("small", "large", "is_flat"), [
    (1_185, 1_204, True), (1_439, 1_408, True), (1_000, 1_200, False), (2_490, 1_409, False),
])  # fmt: skip
def test_a_figure_that_grows_is_not_flat_nor_is_one_that_was_measured_wrong_at_the_small_end(
    small: float, large: float, is_flat: bool
) -> None:
    assert flat(small, large) is is_flat

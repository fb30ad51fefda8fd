"""The same on uvloop, which is what serves: its TLS is its own, and what the end of a connection shows stands on it."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.streams import test_streams as on_any_loop
from tests.streams.test_streams import opened as opened
from tests.streams.test_streams import siem as siem

test_a_reset_in_the_middle = on_any_loop.test_a_reset_in_the_middle_of_a_frame_loses_nothing
test_a_hung_receiver = on_any_loop.test_what_a_hung_receiver_took_and_never_read_is_sent_again
test_one_that_never_closes = on_any_loop.test_one_that_never_closes_is_believed_when_the_settings_say_so
test_the_overlap = on_any_loop.test_the_overlap_is_sent_again_after_a_break
test_another_certificate = on_any_loop.test_a_certificate_of_another_is_told_nothing
test_the_pinned_certificate = on_any_loop.test_the_pinned_certificate_alone_is_enough


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """As `frameroom serve` has it."""
    return uvloop.EventLoopPolicy()


async def test_it_is_uvloop() -> None:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)

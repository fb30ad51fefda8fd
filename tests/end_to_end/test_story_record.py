"""Story 3 is what people are shown of the record: it has to hold whenever it is played."""

from __future__ import annotations

import pytest

from gateway.cli import story_record
from gateway.cli.demo import Demo, permit
from tests.support.need import need_tool


async def test_the_story_of_the_record_holds(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    need_tool("ssh", "openssh-client")
    assert await story_record.play(demo, await permit(demo, "view,alter")) == 0
    said = capsys.readouterr().out
    assert said.count("✓ found:") == 5
    assert "Omar Aziz on" in said
    assert "NOT signed" in said

"""Story 2 is what people are shown of the customer's yes: it has to hold whenever it is played."""

from __future__ import annotations

import pytest

from gateway.cli import story_yes
from gateway.cli.demo import Demo
from tests.support.need import need_player, need_tool


async def test_the_story_of_the_customers_yes_holds(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    need_tool("ssh", "openssh-client")
    need_tool("chromium", "chromium")
    need_player()
    played = await story_yes.play(demo)
    said = capsys.readouterr()
    assert played == 0, said
    for step in (
        "from the invitation's link to a passkey", "a yes for less, signed with the passkey", "watched live", "end now",
        "played back", "work asked for, signed, and taken", "once and only once", "a lost telephone recovered",
    ):  # fmt: skip
        assert step in said.out


async def test_without_a_chromium_it_says_what_is_missing(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert await story_yes.play(demo) == 1
    assert "apt-get install chromium" in capsys.readouterr().err

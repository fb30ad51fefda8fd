"""A long answer takes a shorter way to the terminal than a prompt does; what arrives is the same, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.session.asyncssh_channel import _EditorChannel

ANSWER = b"one\n\n  two\tthree\n" + b"x" * 200 + b"\n"


class _Terminal:
    """The far end of a channel: keeps what is written to it."""

    def __init__(self, term: str) -> None:
        self.term, self.shown = term, b""

    def get_terminal_type(self) -> str:
        return self.term

    def get_terminal_size(self) -> tuple[int, int, int, int]:
        return 80, 24, 0, 0

    def write(self, data: str | bytes, _datatype: Any = None) -> None:
        self.shown += data if isinstance(data, bytes) else data.encode()


def _nothing(_: _EditorChannel) -> None:
    """Nobody types."""


def _half_a_line(channel: _EditorChannel) -> None:
    channel._editor.process_input("show 20", None)  # type: ignore[union-attr]


def _a_prompt(channel: _EditorChannel) -> None:
    channel.write("frameroom> ")


def _a_command(channel: _EditorChannel) -> None:
    _a_prompt(channel)
    channel._editor.process_input("diag\r", None)  # type: ignore[union-attr]


@pytest.mark.parametrize("term", ["dumb", "xterm"])
@pytest.mark.parametrize("before", [_nothing, _half_a_line, _a_prompt, _a_command])
def test_lines_arrive_as_text_would(term: str, before: Callable[[_EditorChannel], None]) -> None:
    as_text, as_lines = _both_ways(term, before)
    assert as_lines == as_text
    assert b"two" in as_lines


@pytest.mark.parametrize("before", [_nothing, _a_prompt])
def test_and_without_a_terminal(before: Callable[[_EditorChannel], None]) -> None:
    as_text, as_lines = _both_ways("", before)
    assert as_lines == as_text
    assert b"two" in as_lines


def _both_ways(term: str, before: Callable[[_EditorChannel], None]) -> list[bytes]:
    shown = []
    for way in ("write", "write_lines"):
        terminal = _Terminal(term)
        session: Any = type("Session", (), {"data_received": lambda *_: None, "eof_received": lambda _: None})()
        channel = _EditorChannel(terminal, session, True, 10, 1000)  # type: ignore[arg-type]
        channel.create_editor()
        before(channel)
        for _ in range(2):
            getattr(channel, way)(ANSWER if way == "write_lines" else ANSWER.decode())
        before(channel)
        shown.append(terminal.shown)
    return shown

"""Showing what a terminal showed: in its own time on a terminal, as plain text to a pipe."""

from __future__ import annotations

import click

from audit.recording.sanitise import plain, sanitise

_RESET = "\x1b[0m\n"


class Screen:
    """Where pieces of terminal output go, each at its time (seconds since the recording began).

    `speed` divides every wait, `longest_s` bounds it; `begins_s` is where playing begins. A piece without a time is
    live and shown at once. Everything is sanitised here again: what wrote to the socket is not trusted more than that.
    """

    def __init__(
        self, terminal: bool, *, speed: float = 1.0, longest_s: float | None = None, begins_s: float = 0.0
    ) -> None:
        self._terminal, self._speed, self._longest = terminal, speed, longest_s
        self._last = begins_s
        self._shown = False

    async def show(self, at_s: float | None, text: str) -> None:
        """Show a piece when its time has come."""
        if not self._terminal:
            click.echo(plain(text), nl=False)
            return
        if at_s is not None:
            wait = max(0.0, at_s - self._last)
            self._last = at_s
            import asyncio

            await asyncio.sleep((wait if self._longest is None else min(wait, self._longest)) / self._speed)
        self._shown = True
        click.echo(sanitise(text), nl=False)

    def leave(self) -> None:
        """The terminal as it was: no colour left on, and a line of its own for what follows."""
        if self._shown:
            click.echo(_RESET, nl=False)

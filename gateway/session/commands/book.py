"""What a command is: its name, how it is written, what it does, an example, and what runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.session.commands.caller import Caller


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `more` is what help says besides."""

    name: str
    run: Callable[[Caller], Awaitable[None]]
    usage: str
    does: str
    example: str
    more: str = ""

"""What a session sees of one SSH channel: lines in, bytes out, and who is at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncssh
from rich.cells import cell_len, set_cell_size

_COLOUR_TERMS = ("xterm", "screen", "tmux", "linux", "rxvt", "vt100-color", "putty", "konsole", "alacritty", "foot")
# Input that nobody has read yet; over it the client has to wait, so that it is the client's memory that it fills.
MAX_UNREAD = 256 << 10
LONGEST_LINE: Final = 16_384
"""Characters of a command."""
_OFFERED = 40
_ITEM = 64
_DUMB = frozenset({"", "dumb", "unknown"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who proved to be at the other end: by which key, which second factor, from where."""

    engineer_id: str
    login: str
    name: str
    factor: str
    fingerprint: str
    address: str
    connection_id: str


class Interrupted(Exception):
    """Ctrl-C."""


class ChannelHandler(Protocol):
    """What a door hands its channels to."""

    async def run(self, channel: Channel, identity: Identity) -> int:
        """Serve one channel; the exit code."""

    async def hung_up(self, identity: Identity) -> None:
        """The connection is gone."""


class Channel(asyncssh.SSHServerSession[str]):
    """One channel. Everything written passes `tap` on its way, and nothing else reaches the terminal."""

    def __init__(self, start: Callable[[Channel], None]) -> None:
        self._start = start
        self._chan: Any = None
        self._lines: asyncio.Queue[str | BaseException | None] = asyncio.Queue()
        self._partial = ""
        self._prompt: str | None = None
        self._status = ""
        self._unread = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = asyncio.Event()
        self.command: str | None = None
        self.terminal: str | None = None
        self.columns, self.rows = 80, 24
        self.tap: Callable[[bytes], None] | None = None
        self.on_resize: Callable[[int, int], None] | None = None
        self.on_interrupt: Callable[[], None] | None = None
        self.on_end: Callable[[], None] | None = None
        """Called once before the channel is ended from our side, for last words."""
        self.complete: Callable[[str], tuple[str, list[str]]] | None = None

    # --- what asyncssh calls ---

    def connection_made(self, chan: Any) -> None:
        """The channel is open."""
        self._chan = chan
        chan.set_tap(self._tapped)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Any) -> bool:
        """A terminal: wanted for a shell."""
        self.terminal = term_type
        self.columns, self.rows = term_size[0] or 80, term_size[1] or 24
        return True

    def shell_requested(self) -> bool:
        """`ssh gw`."""
        return True

    def exec_requested(self, command: str) -> bool:
        """`ssh gw COMMAND…`."""
        self.command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """sftp and the like: never."""
        return False

    def session_started(self) -> None:
        """All was asked for; begin."""
        if self.terminal is None:
            # Files come this way too: a byte that is no UTF-8 is named by whoever reads it, with its line.
            self._chan.set_encoding("utf-8", "surrogateescape")
        else:
            self._chan.register_key("\t", self._tab)
        self._start(self)

    def data_received(self, data: str, datatype: Any) -> None:
        """Input: lines of a terminal, or pieces of standard input."""
        if self.terminal is None:
            self._queue(data)
            return
        self._partial += data
        *lines, self._partial = self._partial.split("\n")
        for line in lines:
            self._queue(line.rstrip("\r"))

    def _queue(self, item: str) -> None:
        self._lines.put_nowait(item)
        self._unread += len(item) + _ITEM
        if self._unread > MAX_UNREAD:
            self._chan.pause_reading()

    async def _next(self) -> str | BaseException | None:
        item = await self._lines.get()
        if isinstance(item, str):
            full = self._unread > MAX_UNREAD
            self._unread -= len(item) + _ITEM
            if full and self._unread <= MAX_UNREAD and not self.closed.is_set():
                self._chan.resume_reading()
        return item

    def eof_received(self) -> bool:
        """No more input; output may follow."""
        self._lines.put_nowait(None)
        return True

    def soft_eof_received(self) -> None:
        """Ctrl-D on an empty line."""
        self._lines.put_nowait(None)

    def break_received(self, msec: int) -> bool:
        """Ctrl-C: stops the operation that runs, or clears the line."""
        if self.on_interrupt is not None:
            self.on_interrupt()
        else:
            self._chan.clear_input()
            self._lines.put_nowait(Interrupted())
        return True

    def signal_received(self, signal: str) -> None:
        """INT from a client without a terminal."""
        if signal == "INT" and self.on_interrupt is not None:
            self.on_interrupt()

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """A resize."""
        self.columns, self.rows = width or 80, height or 24
        if self.on_resize is not None:
            self.on_resize(self.columns, self.rows)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self._writable.set()
        self.closed.set()
        self._lines.put_nowait(None)

    # --- what a session calls ---

    def _tapped(self, data: bytes) -> None:
        if self.tap is not None:
            self.tap(data)

    def _tab(self, line: str, pos: int) -> Any:
        if self.complete is None or self._prompt is None:
            return False
        done, choices = self.complete(line[:pos])
        if not choices:
            return False
        if len(choices) > 1 and done == line[:pos]:
            more = "" if len(choices) <= _OFFERED else f"… and {len(choices) - _OFFERED} more\n"
            self.write(f"{line}\n{side_by_side(choices[:_OFFERED], self.columns)}{more}{self._prompt}")
            return line, pos
        return done + line[pos:], len(done)

    @property
    def unread(self) -> int:
        """How much of the client's input is held here, in characters or a little more."""
        return self._unread

    @property
    def colour(self) -> bool:
        """True when the terminal is of a kind that shows colour."""
        return self.terminal is not None and self.terminal.startswith(_COLOUR_TERMS)

    @property
    def _shut(self) -> bool:
        """True when nothing can be shown any more: closed by either side, be it not yet confirmed by the other."""
        return self.closed.is_set() or self._chan.is_closing()

    def write(self, text: str) -> None:
        """To standard output; nothing when the channel is shut."""
        if text and not self._shut:
            self._chan.write(text)

    def write_lines(self, data: bytes) -> None:
        """Whole lines of UTF-8 to standard output: a long answer of a phone system."""
        if not data or self._shut:
            return
        if data.isascii() and data.endswith(b"\n"):
            self._chan.write_lines(data)
        else:
            self._chan.write(data.decode("utf-8", "replace"))

    def write_err(self, text: str) -> None:
        """To standard error; on a terminal there is only one stream."""
        if text and not self._shut:
            if self.terminal is None:
                self._chan.write_stderr(text)
            else:
                self._chan.write(text)

    async def drain(self) -> None:
        """Wait until the client reads again. ConnectionError when it is gone."""
        await self._writable.wait()
        if self.closed.is_set():
            raise ConnectionResetError("the client is gone")

    @property
    def redraws(self) -> bool:
        """True when a line of the terminal can be written over."""
        return self.terminal is not None and self.terminal not in _DUMB

    def status(self, text: str) -> None:
        """A line that the next one takes the place of, on a terminal that can; "" takes it away. Else a line each."""
        if self.redraws:
            self._status = text
            self.write(f"\r\x1b[K{text}")
        elif text:
            self.write_err(f"{text}\n")

    def notify_line(self, text: str, *, last: bool = False) -> None:
        """A line above whatever is being typed, with a bell. After the `last` one nothing is asked any more."""
        if self.terminal is None:
            self.write_err(f"{text}\n")
            return
        start = "\r\x1b[K" if self.redraws else "\n"
        self.write(f"{start}\x07{text}\n{'' if last else self._prompt or self._status}")

    async def read_line(self, prompt: str) -> str | None:
        """One line; None at the end of input. Interrupted at Ctrl-C."""
        self.write(prompt)
        self._prompt = prompt
        try:
            got = await self._next()
        finally:
            self._prompt = None
        if isinstance(got, BaseException):
            self.write("^C\n")
            raise got
        if got is None and self.terminal is not None:
            self.write("\n")  # Ctrl-D moves no cursor: what is said next stands in a line of its own
        return got

    async def ask_key(self, prompt: str, keys: str) -> str:
        """One of `keys`, pressed without Enter, while `prompt` stands in the last line; Enter alone is the first of
        them, the end of input the last. For a terminal whose lines are edited here."""

        def pressed(char: str) -> None:
            if char == "\x03":
                self.break_received(0)
            elif char == "\x04":
                self._queue(keys[-1])
            elif (key := keys[0] if char in "\r\n" else char.lower()) in keys:
                self._queue(key)

        self.status(prompt)
        self._chan.grab_keys(pressed)
        try:
            got = await self._next()
            if isinstance(got, BaseException):
                raise got
            return keys[-1] if got is None else got[:1]
        finally:
            self._chan.grab_keys(None)
            self.status("")

    async def read_all(self) -> AsyncIterator[str]:
        """Standard input as it comes, to its end."""
        while (got := await self._next()) is not None:
            if isinstance(got, BaseException):
                raise got
            yield got

    def exit(self, code: int) -> None:
        """End this channel; its neighbours on the connection live on."""
        if self.closed.is_set():
            return
        if self.on_end is not None:
            last_words, self.on_end = self.on_end, None
            last_words()
        self._chan.exit(code)


def side_by_side(words: Sequence[str], width: int) -> str:
    """Words in columns that fit a width, as lines."""
    widest = max(map(cell_len, words)) + 2
    each = max(1, width // widest)
    rows = [words[at : at + each] for at in range(0, len(words), each)]
    return "".join("".join(set_cell_size(word, widest) for word in row).rstrip() + "\n" for row in rows)

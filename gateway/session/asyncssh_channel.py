"""The channel half of the seam (asyncssh_seam.py lists what it relies on): tap, screening, line editor."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from asyncssh.channel import SSHServerChannel
from asyncssh.editor import SSHLineEditor, SSHLineEditorChannel, SSHLineEditorSession
from asyncssh.packet import SSHPacket

from gateway.session.channel import LONGEST_LINE

MAX_PACKET: Final = 35_000
"""Bytes of a packet (RFC 4253 section 6.1); only a command may come in a longer one."""
_KEPT: Final = 4 * (LONGEST_LINE + 1)
"""Bytes of a command. UTF-8 has at most four a character, so that one that was cut here is still too long to be run."""
_CLOSE, _REQUEST = 97, 98
_ENV = re.compile(rb"TERM|LANG|LC_[A-Z]+")
_CHANNEL_REQUESTS = frozenset({"pty-req", "shell", "exec", "env", "window-change", "signal", "break"})
# Harmless, and any answer will do: not worth an event.
_QUIET = frozenset({"keepalive@openssh.com", "winadj@putty.projects.tartarus.org",
                    "simple@putty.projects.tartarus.org", "eow@openssh.com"})  # fmt: skip
_KNOWN_REQUESTS = frozenset({"x11-req", "auth-agent-req@openssh.com", "subsystem", "xon-xoff"})
EDITED: Final = ("_line", "_line_pending", "_cursor", "_start_column", "_end_column", "_early_wrap")
"""What asyncssh's editor keeps of a line that is being typed, and of where the cursor stands."""


class ChannelPolicy(Protocol):
    """What a channel tells the door."""

    def refused(self, what: str) -> None:
        """Something that is not allowed was asked for."""


def wire_name(data: bytes) -> str:
    """A name from the wire, for comparing: ASCII only, at most 64 characters."""
    return data[:64].decode("ascii", "replace")


class Editor(SSHLineEditor):
    """asyncssh's line editor, its pattern of printable characters built once for each set of keys."""

    _built: dict[frozenset[str], Any] = {}  # noqa: RUF012 - shared by all on purpose
    grabbed: Callable[[str], None] | None = None
    """Gets each character instead of the line: keys that are waited for. (Registering one costs 8 ms.)"""

    def process_input(self, data: str, datatype: Any) -> None:
        """Into the line, or to whoever waits for a key."""
        for at, char in enumerate(data):
            if self.grabbed is None:
                super().process_input(data[at:], datatype)
                return
            self.grabbed(char)

    def _build_printable(self) -> None:
        keys = frozenset(self._keymap)
        if keys not in self._built:
            super()._build_printable()
            self._built[keys] = self._printable
        self._printable = self._built[keys]

    @property
    def idle(self) -> bool:
        """True when nothing is being typed and the cursor stands at the left: whole lines change nothing of it."""
        return not any(getattr(self, name) for name in EDITED)


class _EditorChannel(SSHLineEditorChannel):
    """asyncssh's, making our editor."""

    def create_editor(self) -> SSHLineEditor | None:
        """The editor, where there is a terminal; asyncssh makes none for one of no name."""
        term = self._orig_chan.get_terminal_type()
        if term is not None:
            known = "xterm" if term not in ("", "dumb", "unknown") and not term.startswith("emacs") else "dumb"
            self._editor = Editor(
                self._orig_chan, self._orig_session, self._line_echo, self._history_size, self._max_line_length,
                known, self._orig_chan.get_terminal_size()[0],
            )  # fmt: skip
        return self._editor

    def grab_keys(self, handler: Callable[[str], None] | None) -> None:
        """Have each key that is pressed handed to `handler` instead of the line; None ends it."""
        if isinstance(self._editor, Editor):
            self._editor.grabbed = handler

    def write_lines(self, data: bytes) -> None:
        """Show whole lines of ASCII, as `write` would, for a fraction of what it costs."""
        if self._editor is None:
            self._orig_chan.write(data)
        elif isinstance(self._editor, Editor) and self._editor.idle:
            self._orig_chan.write(data.replace(b"\n", b"\r\n"))
        else:
            self.write(data.decode("ascii"))


class _Encoder:
    """A channel's, which lets pass what is encoded already."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def encode(self, data: str | bytes) -> bytes:
        """Its bytes."""
        return data if isinstance(data, bytes) else self._encoder.encode(data)


class TappedChannel(SSHServerChannel[str]):
    """A channel whose every shown byte passes a tap, and whose every request is screened."""

    tapped: Any = None
    policy: ChannelPolicy | None = None

    def set_tap(self, tap: Any) -> None:
        """Let `tap` see every byte shown. A method: the line editor's wrapper would keep an attribute to itself."""
        self.tapped = tap

    def set_encoding(self, encoding: str | None, errors: str = "strict") -> None:
        """How text is encoded, as asyncssh has it; bytes pass as they are."""
        super().set_encoding(encoding, errors)
        if encoding:
            self._encoder: Any = _Encoder(self._encoder)

    def write(self, data: str | bytes, datatype: Any = None) -> None:
        """Show it, and let the recorder see it first."""
        if self.tapped is not None:
            self.tapped(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
        super().write(data, datatype)

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """Refuse, count and answer what is not named, before asyncssh looks for a handler."""
        if pkttype == _REQUEST:
            fields = SSHPacket(packet.get_remaining_payload())
            name, wants_reply = wire_name(fields.get_string()), fields.get_boolean()
            too_long = name != "exec" and len(packet.get_remaining_payload()) > MAX_PACKET
            if name not in _CHANNEL_REQUESTS or too_long:
                if name not in _QUIET and self.policy is not None:
                    self.policy.refused(name if name in _KNOWN_REQUESTS else "channel request")
                if wants_reply:
                    self.send_packet(100)
                return True
        handled = super().process_packet(pkttype, pktid, packet)
        if pkttype == _CLOSE:
            # asyncssh would keep a closed channel open for as long as it holds input that nobody reads.
            self._discard_recv()
        return handled

    def _wrap_session(self, session: Any) -> Any:
        front = _EditorChannel(self, session, self._line_echo, self._line_history, self._max_line_length)
        return front, SSHLineEditorSession(front, session)

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        # asyncssh refuses one that is no UTF-8 without a word; who runs it says what is wrong.
        command = packet.get_string()[:_KEPT].decode("utf-8", "surrogateescape")
        packet.check_end()
        return bool(self._start_session(command=command))

    def _process_env_request(self, packet: SSHPacket) -> bool:
        name, value = packet.get_string(), packet.get_string()
        packet.check_end()
        allowed = _ENV.fullmatch(name) is not None and len(value) <= 64
        if not allowed and self.policy is not None:
            self.policy.refused("env")
        return allowed

    def log_sent_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing: asyncssh formats a line for every packet before it asks whether anybody listens."""

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing, as above."""

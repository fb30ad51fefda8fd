"""What is kept of Asterisk's answers: the fields that are named here; every other line is dropped as it comes.

An answer is bytes in lines, and is fed as lines come. It is never collected: what an endpoint's section or a mailbox's
entry holds goes to `keep`, one at a time, and from there only what is needed goes on.

Source: Asterisk 22, "AMI v2 Specification"; transcripts of a live 22.10.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import zstandard

from connectors.errors import ProtocolViolation, SecretReadable

MAX_LINE: Final = 16 << 10
"""Bytes of one line that comes."""
_HEAD_LINES: Final = 2_000
_PACKET_LINES: Final = 200
_LINES_OF_A_NAME: Final = 100
_PIECE: Final = 1_000
"""Lines that are looked at in one go."""

REFUSALS: Final[Mapping[bytes, str]] = {
    b"Permission denied": "denied",
    b"Authentication failed": "login",
    b"Given category does not exist": "no-section",
    b"Update did not complete successfully": "not-as-it-was",
    b"Config file not found": "no-file",
    b"Config file not found or file has invalid syntax": "no-file",
    b"Config file has invalid format": "bad-file",
    b"File requires escalated privileges": "restricted",
    b"Save of config failed": "not-saved",
    b"No Contacts found": "none",
    b"There is no voicemail user of the given info.": "none",
}
"""What Asterisk says when it does not do a thing, and what we call it. Other words of its are never repeated."""

_WANTED: Final = frozenset({b"type", b"callerid", b"mailboxes", b"context", b"auth", b"aors"})
_SECRETS: Final = frozenset(
    {b"password", b"md5_cred", b"password_digest", b"secret", b"refresh_token", b"oauth_secret",
     b"inbound_auth/password", b"outbound_auth/password"}
)  # fmt: skip
_AT: Final = len(b"Line-000000-000000: ")

Fields = Mapping[bytes, bytes]
Keep = Callable[[bytes, Mapping[bytes, list[bytes]]], None]


class Answer:
    """One answer: its outcome, and nothing else of it. `done` once it is whole; `refused` why it was not done."""

    def __init__(self, action_id: str) -> None:
        self._mine = action_id.encode()
        self._named = False
        self._state = "start"
        self._lines = 0
        self.message = b""
        self.refused: str | None = None
        self.done = False
        self.whole = False
        """Whether what is still to come goes to `take`, unread."""

    def feed(self, lines: Sequence[bytes], at: int) -> int:
        """Take lines from `at` on; where the next answer begins. ProtocolViolation, SecretReadable."""
        while at < len(lines) and not self.done and not self.whole:
            if self._state == "body":
                at = self._body(lines, at)
                continue
            line = lines[at]
            at += 1
            if self._state == "start":
                self._begin(line)
            elif self._state == "skip":
                self._state = "skip" if line else "start"
            elif line:
                self._head(line)
            else:
                self._headed()
        return at

    def take(self, data: bytes) -> bytes | None:
        """Bytes of an answer of which the rest is kept as it is; what comes after its end, None before that."""
        raise ProtocolViolation("the phone system's answer makes no sense")

    def _begin(self, line: bytes) -> None:
        if not line:
            return
        if line.startswith(b"Event: "):
            self._state = "skip"  # nobody asked for it; what it says is not looked at
        elif line in (b"Response: Success", b"Response: Error", b"Response: Goodbye"):
            self._state = "head"
            self.refused = "other" if line == b"Response: Error" else None
        else:
            raise ProtocolViolation("the phone system's answer makes no sense")

    def _head(self, line: bytes) -> None:
        self._lines += 1
        if self._lines > _HEAD_LINES:
            raise ProtocolViolation("the phone system's answer is too large")
        key, _, value = line.partition(b": ")
        if key == b"ActionID":
            if value != self._mine:
                raise ProtocolViolation("the phone system answered something that was not asked")
            self._named = True
        elif key == b"Message":
            self.message = value[:200]
            known = REFUSALS.get(value.rstrip(b"\n"))  # some carry an end of line of their own
            if known is not None and (self.refused or known == "none"):
                self.refused = known
        else:
            self._field(key, value)

    def _field(self, key: bytes, value: bytes) -> None:
        """Another line of the head."""

    def _headed(self) -> None:
        if not self._named:
            raise ProtocolViolation("the phone system answered something that was not asked")
        self.done = True

    def _body(self, lines: Sequence[bytes], at: int) -> int:
        raise ProtocolViolation("the phone system's answer makes no sense")


class Words(Answer):
    """An answer of which the names before the colon are kept: what ListCommands permits."""

    def __init__(self, action_id: str) -> None:
        super().__init__(action_id)
        self.names: set[str] = set()

    def _field(self, key: bytes, value: bytes) -> None:
        self.names.add(key[:80].decode("utf-8", "replace"))


class Count(Answer):
    """How many sections a file has (ListCategories); their names are dropped."""

    def __init__(self, action_id: str) -> None:
        super().__init__(action_id)
        self.count = 0

    def _head(self, line: bytes) -> None:
        if line.startswith(b"Category-"):
            self.count += 1
        else:
            super()._head(line)


class Sections(Answer):
    """Endpoints' sections (GetConfig). SecretReadable when a line comes that is a password's: the filter was not kept.

    `keep` gets a section's name and its wanted lines; of a line that comes several times all values, in order.
    """

    def __init__(self, action_id: str, keep: Keep) -> None:
        super().__init__(action_id)
        self._keep = keep
        self._name: bytes | None = None
        self._found: dict[bytes, list[bytes]] = {}

    def _head(self, line: bytes) -> None:
        super()._head(line)
        if self._named and self.refused is None:
            self._state = "body"

    def _body(self, lines: Sequence[bytes], at: int) -> int:
        # The loop that runs half a million times for a large directory: nothing in it that need not be.
        wanted, bad, found = _WANTED, _SECRETS, self._found
        for number in range(at, len(lines)):
            line = lines[number]
            if line[:5] == b"Line-":
                start = _AT if line[_AT - 2 : _AT] == b": " else line.find(b": ") + 2
                equals = line.find(b"=", start)
                key = line[start:equals]
                if key in wanted:
                    if key in found:
                        if len(found[key]) >= _LINES_OF_A_NAME:
                            raise ProtocolViolation("the phone system's answer is too large")
                        found[key].append(line[equals + 1 :])
                    else:
                        found[key] = [line[equals + 1 :]]
                elif key in bad or key.lower() in bad:
                    raise SecretReadable("the phone system sent a password that was not asked for; it was dropped")
            elif line[:9] == b"Category-":
                self._flush()
                self._name, found = line.partition(b": ")[2], self._found
            elif not line:
                self._flush()
                self.done = True
                return number + 1
        return len(lines)

    def _flush(self) -> None:
        if self._name is not None:
            if self._found.get(b"type", [b""])[-1] != b"endpoint":
                raise SecretReadable("the phone system did not keep to the filter; what it sent was dropped")
            self._keep(self._name, self._found)
        self._name, self._found = None, {}


class Listing(Sections):
    """Endpoints' sections in the order of the file, of which so many are looked at as they come; the rest is kept
    packed, and looked at when it is wanted. A directory of 50,000 is 20 MiB as it comes, and one or two so.
    """

    def __init__(self, action_id: str, keep: Keep, enough: Callable[[], bool]) -> None:
        super().__init__(action_id, keep)
        self._enough = enough
        self._packer = zstandard.ZstdCompressor(level=1).compressobj()
        self._packed: list[bytes] = []
        self._tail = b"\r\n"
        self._unpacked: Iterator[list[bytes]] = iter(())
        self.over = False
        """Whether everything of it was looked at."""

    def _body(self, lines: Sequence[bytes], at: int) -> int:
        if self._packed or not self._enough():
            # Not all of a large piece at once: what is enough may come early in it.
            end = super()._body(lines[at : at + _PIECE] if len(lines) - at > _PIECE else lines[at:], 0) + at
            self.over = self.done
            return end
        self.whole = True
        return at

    def take(self, data: bytes) -> bytes | None:
        """Packed as it comes, up to the empty line that ends it."""
        ends = (self._tail + data).find(b"\r\n\r\n")
        if ends < 0:
            self._packed.append(self._packer.compress(data))
            self._tail = (self._tail + data)[-3:]
            return None
        end = ends + 4 - len(self._tail)
        self._packed += [self._packer.compress(data[:end]), self._packer.flush()]
        self.whole, self.done = False, True
        self._unpacked = self._unpack()
        return data[end:]

    def _unpack(self) -> Iterator[list[bytes]]:
        unpacker, half = zstandard.ZstdDecompressor().decompressobj(), b""
        self._packed.reverse()
        while self._packed:
            lines = (half + unpacker.decompress(self._packed.pop())).split(b"\r\n")
            half = lines.pop()
            if len(half) > MAX_LINE:
                raise ProtocolViolation("the phone system's answer is too large")
            for at in range(0, len(lines), _PIECE):
                yield lines[at : at + _PIECE]

    def more(self) -> None:
        """Look at what was packed until there is enough, or no more."""
        while not self._enough() and not self.over:
            piece = next(self._unpacked, None)
            if piece is None:
                self.over = True
            else:
                super()._body(piece, 0)


class Events(Answer):
    """A list of events. `keep` gets, of each of the kind that was asked for, the fields that were named."""

    def __init__(
        self, action_id: str, event: bytes, wanted: frozenset[bytes], keep: Callable[[Fields], None] | None
    ) -> None:
        super().__init__(action_id)
        self._event = event
        self._wanted = wanted | {b"Event", b"ActionID", b"EventList"}
        self._keep = keep
        self._listed = False
        self._found: dict[bytes, bytes] = {}
        self._packet = 0

    def _field(self, key: bytes, value: bytes) -> None:
        self._listed = self._listed or (key == b"EventList" and value.lower() == b"start")

    def _headed(self) -> None:
        super()._headed()
        if self._listed and self.refused is None:
            self.done, self._state = False, "body"

    def _body(self, lines: Sequence[bytes], at: int) -> int:
        # A mailbox is thirty lines, of which four are wanted.
        wanted, found, packet = self._wanted, self._found, self._packet
        for number in range(at, len(lines)):
            line = lines[number]
            if line:
                key, _, value = line.partition(b": ")
                packet += 1
                if key in wanted:
                    found[key] = value
                if packet > _PACKET_LINES:
                    raise ProtocolViolation("the phone system's answer is too large")
            elif packet:
                self._end()
                found, packet = self._found, 0
                if self.done:
                    return number + 1
        self._packet = packet
        return len(lines)

    def _end(self) -> None:
        found, self._found, self._packet = self._found, {}, 0
        if found.get(b"ActionID") != self._mine:
            return  # an event that nobody asked for
        if found.get(b"EventList", b"").lower() == b"complete":
            self.done = True
        elif found.get(b"Event") == self._event and self._keep is not None:
            self._keep(found)

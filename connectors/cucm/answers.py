"""What is kept of an answer: the fields that are named here; everything else is dropped as it is parsed.

XML is parsed by expat, which comes with Python, piece by piece as it arrives: there is no tree, and text is handed
over at all only within a field that was asked for. A document type declaration ends the parsing at its first byte, so
that there are no entities of any kind: neither bombs nor references to files or other hosts (docs/design.md).

Sources: Cisco's AXLSoap.xsd; "AXL Developer Guide", data throttling; CUPI, "Users".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from xml.parsers import expat

from connectors.cucm.requests import SOAP
from connectors.errors import ProtocolViolation

_MOST_TEXT: Final = 4_096
"""Characters of one field."""
_MOST_VALUES: Final = 1_000
"""Values of one field of one row."""
_DEEPEST: Final = 32
_MOST_BYTES: Final = 4 << 20
"""Of one answer: the longest page that is asked for is a quarter of it."""
_TOO_MANY: Final = re.compile(r"Query request too large\b.{0,80}?less than ([0-9]{1,7})\b", re.S | re.I)
_BUSY: Final = re.compile(r"Maximum AXL Memory Allocation Consumed", re.I)

Row = Mapping[str, list[str]]
"""A row's fields by name; "uuid" is its attribute of that name."""
Keep = Callable[[Row], None]


class Shape:
    """Where in an answer rows are, and their fields, by name: `path` leads to a row, `fields` are paths from there."""

    def __init__(self, path: Sequence[str], fields: Mapping[tuple[str, ...], str]) -> None:
        self.tree: dict[str, Any] = {}
        node = self.around = self.tree
        for name in path:
            self.around, node = node, node.setdefault(name, {})
        self.row = node
        for names, field in fields.items():
            for name in names[:-1]:
                node = node.setdefault(name, {})
            node[names[-1]] = field
            node = self.row


class Rows:
    """A sink that parses XML and hands over rows."""

    def __init__(self, shape: Shape, keep: Keep, most: int) -> None:
        """`most`: rows that were asked for; one more is none that makes sense."""
        self.begun = False
        self._keep, self._left = keep, most
        self._around, self._row = shape.around, shape.row
        self._stack: list[Any] = [shape.tree]
        self._now: dict[str, list[str]] | None = None
        self._text: list[str] = []
        self._size = self._bytes = 0
        # What an answer declares as its encoding is not taken: AXL and CUPI speak UTF-8.
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = parser.ExternalEntityRefHandler = self._declared

    def __call__(self, data: bytes) -> None:
        """One piece of the answer. ProtocolViolation for what is no XML, or declares what XML is, or too much."""
        self._bytes += len(data)
        if self._bytes > _MOST_BYTES:
            raise ProtocolViolation("the phone system's answer is too large")
        self._parse(data, last=False)

    def finish(self) -> None:
        """After the last piece: ProtocolViolation where the answer is not whole, or of another kind."""
        self._parse(b"", last=True)
        if not self.begun:
            raise ProtocolViolation("the phone system's answer makes no sense")

    def _parse(self, data: bytes, *, last: bool) -> None:
        broken = False
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError:
            broken = True
        if broken:
            raise ProtocolViolation("the phone system's answer makes no sense")

    def _declared(self, *_: object) -> int:
        raise ProtocolViolation("the phone system's answer declares entities, which no answer needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        stack = self._stack
        depth = len(stack)
        if depth == 1 and " " in name and not name.startswith(f"{SOAP} "):
            raise ProtocolViolation("the phone system's answer makes no sense")
        if depth > _DEEPEST:
            raise ProtocolViolation("the phone system's answer is too deep")
        parent = stack[-1]
        if type(parent) is str:
            raise ProtocolViolation("the phone system's answer makes no sense")
        node = None if parent is None else parent.get(name.rpartition(" ")[2])
        stack.append(node)
        if node is None:
            return
        if type(node) is str:
            self._text, self._size = [], 0
            self._parser.CharacterDataHandler = self._said
        elif node is self._row:
            self._left -= 1
            if self._left < 0:
                raise ProtocolViolation("the phone system answered more than was asked for")
            self._now = {"uuid": [attributes["uuid"]]} if "uuid" in attributes else {}
            self.begun = True
        elif node is self._around:
            self.begun = True  # an answer without rows is one all the same

    def _said(self, text: str) -> None:
        self._size += len(text)
        if self._size > _MOST_TEXT:
            raise ProtocolViolation("a field of the phone system's answer is too long")
        self._text.append(text)

    def _end(self, _: str) -> None:
        node = self._stack.pop()
        if node is None:
            return
        if type(node) is str:
            self._parser.CharacterDataHandler = None
            if self._now is not None:
                values = self._now.setdefault(node, [])
                if len(values) >= _MOST_VALUES:
                    raise ProtocolViolation("the phone system's answer is too large")
                values.append("".join(self._text))
            self._text = []
        elif node is self._row and self._now is not None:
            row, self._now = self._now, None
            self._keep(row)


_FAULT: Final = Shape(
    ("Envelope", "Body", "Fault"), {("faultstring",): "words", ("detail", "axlError", "axlcode"): "code"}
)


class Fault(Rows):
    """A SOAP fault: its code, and which of those that we answer it is. Its words, which repeat the request, are not
    kept."""

    def __init__(self) -> None:
        super().__init__(_FAULT, self._take, 1)
        self.code: int | None = None
        self.fits: int | None = None
        """Of a query that was too large: fewer rows than this fit into an answer."""
        self.busy = False

    def _take(self, row: Row) -> None:
        words, code = row.get("words", [""])[0], row.get("code", [""])[0].strip()
        self.code = int(code) if re.fullmatch(r"-?[0-9]{1,6}", code, re.ASCII) else None
        found = _TOO_MANY.search(words)
        self.fits = int(found[1]) if found else None
        self.busy = _BUSY.search(words) is not None


_BODY: Final = ("Envelope", "Body")
_PERSON: Final[Mapping[tuple[str, ...], str]] = {
    ("firstName",): "firstName", ("displayName",): "displayName", ("lastName",): "lastName", ("userid",): "userid",
    ("mailid",): "mailid", ("primaryExtension", "pattern"): "extension", ("telephoneNumber",): "telephoneNumber",
    ("ldapDirectoryName",): "directory",
}  # fmt: skip


_USERS: Final = Shape((*_BODY, "listUserResponse", "return", "user"), _PERSON)
_USER: Final = Shape((*_BODY, "getUserResponse", "return", "user"), _PERSON)
_DEVICES: Final = Shape(
    (*_BODY, "getUserResponse", "return", "user"),
    {("userid",): "userid", ("associatedDevices", "device"): "devices"},
)
_VERSION: Final = Shape((*_BODY, "getCCMVersionResponse", "return"), {("componentVersion", "version"): "version"})
_MAILBOXES: Final = Shape(("Users", "User"), {("ObjectId",): "object", ("Alias",): "alias"})


def users(keep: Keep, most: int) -> Rows:
    """The answer to `users`."""
    return Rows(_USERS, keep, most)


def user(keep: Keep) -> Rows:
    """The answer to `user`."""
    return Rows(_USER, keep, 1)


def devices(keep: Keep) -> Rows:
    """The answer to `user-devices`."""
    return Rows(_DEVICES, keep, 1)


def version(keep: Keep) -> Rows:
    """The answer to `version`."""
    return Rows(_VERSION, keep, 1)


def done(operation: str) -> Rows:
    """The answer to a write: that there is one, and nothing of it."""
    return Rows(Shape((*_BODY, f"{operation}Response", "return"), {}), lambda _: None, 1)


def mailboxes(keep: Keep, most: int) -> Rows:
    """The answer to `mailboxes` and to `mailbox`."""
    return Rows(_MAILBOXES, keep, most)

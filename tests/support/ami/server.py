"""The protocol of the stand-in, its accounts and their rights, and ways to make it misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ami.config import Category, Line, UpdateError, browse, parse, read_again, update
from tests.support.ami.tls import Front
from tests.support.ami.voicemail import Box, boxes
from tests.support.certificates import certificate

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
# Which of a live Asterisk's classes may send what (60-permission-matrix).
RIGHTS: dict[str, frozenset[str]] = {
    "Ping": frozenset(), "ListCommands": frozenset(),
    "GetConfig": frozenset({"config", "system"}), "GetConfigJSON": frozenset({"config", "system"}),
    "ListCategories": frozenset({"config"}), "UpdateConfig": frozenset({"config"}),
    "Reload": frozenset({"config", "system"}),
    "PJSIPShowAuths": frozenset({"system"}), "PJSIPShowEndpoint": frozenset({"system"}),
    "PJSIPShowContacts": frozenset({"system"}),
    "VoicemailUsersList": frozenset({"reporting", "call"}), "VoicemailUserStatus": frozenset({"reporting", "call"}),
    "Getvar": frozenset({"reporting", "call"}), "ShowDialPlan": frozenset({"config", "reporting"}),
    "Command": frozenset({"command"}), "Originate": frozenset({"originate"}), "Redirect": frozenset({"call"}),
}  # fmt: skip
Headers = dict[str, str]


@dataclass
class Account:
    """A manager account."""

    secret: str
    write: frozenset[str]


@dataclass
class Asterisk:
    """One Asterisk: files, what of them is loaded, and what it was asked. `cut`: bytes of answers until it hangs up."""

    files: dict[str, str]
    accounts: dict[str, Account]
    contacts: list[tuple[str, str, int]] = field(default_factory=list)
    spool: dict[tuple[str, str], str] = field(default_factory=dict)
    heard: list[Headers] = field(default_factory=list)
    greeting: bytes = GREETING
    cut: int | None = None
    silent: bool = False
    twist: Callable[[Headers, bytes], bytes] | None = None
    """Makes another answer of the right one."""
    enemy: Callable[[asyncio.StreamWriter, bytes], Awaitable[None]] | None = None
    """Answers in its own way, once somebody is signed in."""
    keeps_filters: bool = True

    def __post_init__(self) -> None:
        self._written: dict[str, list[Category]] = {}
        for name in self.files:
            with contextlib.suppress(ValueError, StopIteration):  # of a file that only makes sense in another
                self._written[name] = parse(self.files, name)
        # One list for both until it is written: changes are made to a copy.
        self._loaded = dict(self._written)
        self._rendered: dict[tuple[str, str, str], bytes] = {}
        self._boxes: dict[tuple[str, str], Box] | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    # --- from behind ---

    def section(self, name: str, kind: str, file: str = "pjsip.conf") -> Category | None:
        """As written."""
        return next(browse(self._written[file], name, f"type={kind}"), None)

    def boxes(self) -> list[Box]:
        """As loaded."""
        return list(self._by_name().values())

    def _by_name(self) -> dict[tuple[str, str], Box]:
        if self._boxes is None:
            found = boxes(self._loaded.get("voicemail.conf", []))
            self._boxes = {(box.context, box.mailbox): box for box in found}
        return self._boxes

    def box(self, mailbox: str) -> Box | None:
        """As loaded."""
        return next((box for box in self.boxes() if box.mailbox == mailbox), None)

    def pin(self, mailbox: str) -> str | None:
        """The PIN that lets somebody in."""
        box = self.box(mailbox)
        if box is None:
            return None
        spooled = self.spool.get((box.context, mailbox)) if box.options.get("passwordlocation") == "spooldir" else None
        return box.pin if spooled is None else spooled

    def accepts(self, user: str, password: str) -> int:
        """What a REGISTER is answered, from what is loaded: a digest wins over a password (22-password-…)."""
        auths = list(browse(self._loaded["pjsip.conf"], "", "^type$=^auth$"))
        auth = next((a for a in auths if a.last("username") == user), None)
        endpoint = next(browse(self._loaded["pjsip.conf"], "", f"^type$=^endpoint$,^auth$=^{auth.name}$"), None) if (
            auth is not None) else None  # fmt: skip
        if auth is None or endpoint is None:
            return 401
        realm = auth.last("realm") or "asterisk"
        md5 = hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()
        if digest := auth.last("password_digest"):
            return 200 if digest == f"MD5:{md5}" else 401
        if cred := auth.last("md5_cred"):
            return 200 if cred == md5 else 401
        return 500 if not auth.last("password") else 200 if auth.last("password") == password else 401

    def set(self, section: str, kind: str, var: str, *values: str) -> None:
        """Somebody else edits the file: these lines of that name, and no others."""
        self._written["pjsip.conf"] = copy.deepcopy(self._written["pjsip.conf"])
        found = self.section(section, kind)
        assert found is not None
        found.lines = [line for line in found.lines if line.name != var] + [Line(var, value) for value in values]
        self._rendered.clear()

    def again(self, file: str, old: str, new: str) -> None:
        """Another text in a file, as if Asterisk had been started with it."""
        assert old in self.files[file]
        self.files[file] = self.files[file].replace(old, new)
        self.__post_init__()

    def rewrite(self, file: str, headers: Headers) -> None:
        """Somebody else's change, written and loaded."""
        self._written[file] = copy.deepcopy(self._written[file])
        update(self._written[file], headers)
        self._write(file, "yes")

    def _write(self, file: str, reload: str) -> None:
        read_again(self._written[file])
        self._rendered.clear()
        if reload not in ("", "no"):
            self.reload(reload)

    def reload(self, module: str) -> None:
        """What counts from now on."""
        for name, belongs in (("pjsip.conf", "res_pjsip.so"), ("voicemail.conf", "app_voicemail.so")):
            if module in ("yes", belongs) and name in self._written:
                self._loaded[name] = self._written[name]
                self._boxes = None

    # --- the protocol ---

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, ValueError, asyncio.CancelledError):
                await self._session(reader, writer)
        finally:
            self.tasks.discard(task)
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        account: Account | None = None
        await self._say(writer, self.greeting)
        while True:
            headers = await _request(reader)
            self.heard.append(headers)
            if self.silent:
                await reader.read()
                return
            action = headers.get("Action", "")
            if action == "Login":
                found = self.accounts.get(headers.get("Username", ""))
                account = found if found is not None and found.secret == headers.get("Secret") else None
                answer = _ok(headers, "Authentication accepted") if account else _no(headers, "Authentication failed")
            elif account is None or action == "Logoff":
                await self._say(writer, _no(headers, "Permission denied") if account is None else b"")
                return
            else:
                answer = self.answer(headers, account.write)
            if self.enemy is not None and action != "Login":
                await self.enemy(writer, answer)
                continue
            await self._say(writer, answer if self.twist is None else self.twist(headers, answer))
            if account is None:
                return

    async def _say(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self.cut is not None:
            data, self.cut = data[: self.cut], self.cut - len(data)
        writer.write(data)
        await writer.drain()
        if self.cut is not None and self.cut < 0:
            self.cut = 0
            writer.close()
            raise EOFError

    def answer(self, headers: Headers, write: frozenset[str]) -> bytes:
        """What one action of an account with these rights is answered."""
        action = headers.get("Action", "")
        if len(headers) > 128:
            return _no(headers, "Too many lines in message or allocation failure")
        if action not in RIGHTS:
            return _no(headers, "Invalid/unknown command")
        if RIGHTS[action] and not RIGHTS[action] & write:
            return _no(headers, "Permission denied")
        doing = getattr(self, f"_do_{action.lower()}", None)
        made: bytes = _no(headers, "not in this stand-in") if doing is None else doing(headers, write)
        return made

    def _do_ping(self, headers: Headers, _: frozenset[str]) -> bytes:
        return _ok(headers, None, "Ping: Pong\r\nTimestamp: 1795471362.931960\r\n")

    def _do_listcommands(self, headers: Headers, write: frozenset[str]) -> bytes:
        can = [name for name, classes in RIGHTS.items() if not classes or classes & write]
        return _ok(headers, None, "".join(f"{name}: {name}.  (Priv: …)\r\n" for name in can))

    def _do_reload(self, headers: Headers, _: frozenset[str]) -> bytes:
        self.reload(headers.get("Module", "yes"))
        return _ok(headers, "Module Reloaded")

    def _do_listcategories(self, headers: Headers, _: frozenset[str]) -> bytes:
        found = self._written.get(headers.get("Filename", ""))
        if found is None:
            return _no(headers, "Config file not found")
        names = [category.name for category in found if not category.template]
        return _ok(headers, None, "".join(f"Category-{n:06d}: {name}\r\n" for n, name in enumerate(names)))

    def _do_getconfig(self, headers: Headers, _: frozenset[str]) -> bytes:
        file, name, expression = (headers.get(key, "") for key in ("Filename", "Category", "Filter"))
        if file not in self.files:
            return _no(headers, "File requires escalated privileges" if "/" in file else "Config file not found")
        if file not in self._written:
            return _no(headers, "Config file has invalid format")
        key = (file, name, expression if self.keeps_filters else "")
        if key not in self._rendered:
            self._rendered[key] = _sections(browse(self._written[file], name, key[2])).encode()
        found = self._rendered[key] or (b"No categories found\r\n" if name else b"")
        return _ok(headers, None)[:-2] + found + b"\r\n"

    def _do_updateconfig(self, headers: Headers, _: frozenset[str]) -> bytes:
        file = headers.get("SrcFilename", "")
        if file not in self._written or headers.get("DstFilename") != file:
            return _no(headers, "File requires escalated privileges")
        tried = copy.deepcopy(self._written[file])
        try:
            update(tried, headers)
        except UpdateError as error:
            return _no(headers, str(error))
        self._written[file] = tried
        self._write(file, headers.get("Reload", ""))
        return _ok(headers, None)

    def _do_voicemailuserslist(self, headers: Headers, _: frozenset[str]) -> bytes:
        found = self.boxes()
        if not found:
            return _ok(headers, "There are no voicemail users currently defined.")
        rows = [("VoicemailUserEntry", box.shown()) for box in found]
        return _list(headers, "Voicemail user list will follow", "VoicemailUserEntryComplete", rows)

    def _do_voicemailuserstatus(self, headers: Headers, _: frozenset[str]) -> bytes:
        found = self._by_name().get((headers.get("Context", ""), headers.get("Mailbox", "")))
        if found is None:
            return _ok(headers, "There is no voicemail user of the given info.")
        rows = [("VoicemailUserDetail", found.shown())]
        return _list(headers, "Voicemail user detail will follow", "VoicemailUserDetailComplete", rows)

    def _do_pjsipshowcontacts(self, headers: Headers, _: frozenset[str]) -> bytes:
        if not self.contacts:
            return _no(headers, "No Contacts found\n")  # with an end of line of its own
        rows = [
            ("ContactList", [
                ("ObjectType", "contact"), ("ObjectName", f"{name};@9eb0"), ("Endpoint", name), ("Uri", uri),
                ("UserAgent", "a telephone"), ("ExpirationTime", str(until)),
            ])
            for name, uri, until in self.contacts
        ]  # fmt: skip
        told = "A listing of Contacts follows, presented as ContactList events"
        return _list(headers, told, "ContactListComplete", rows)


async def _request(reader: asyncio.StreamReader) -> Headers:
    headers: Headers = {}
    while True:
        line = await reader.readuntil(b"\r\n")
        if line == b"\r\n":
            if headers:
                return headers
            continue
        if len(line) > 1024:
            continue  # not read whole by Asterisk, and so dropped
        key, _, value = line[:-2].decode("utf-8", "surrogateescape").partition(":")
        headers.setdefault(key, value.lstrip())


def _start(headers: Headers, response: str, message: str | None) -> str:
    named = f"ActionID: {headers['ActionID']}\r\n" if "ActionID" in headers else ""
    return f"Response: {response}\r\n{named}" + (f"Message: {message}\r\n" if message else "")


def _ok(headers: Headers, message: str | None, more: str = "") -> bytes:
    return f"{_start(headers, 'Success', message)}{more}\r\n".encode("utf-8", "surrogateescape")


def _no(headers: Headers, message: str) -> bytes:
    return f"{_start(headers, 'Error', message)}\r\n".encode()


def _sections(categories: Iterable[Category]) -> str:
    made = []
    for number, category in enumerate(categories):
        made.append(f"Category-{number:06d}: {category.name}\r\n")
        if category.templates:
            made.append(f"Templates-{number:06d}: {','.join(category.templates)}\r\n")
        made += [f"Line-{number:06d}-{at:06d}: {line.name}={line.value}\r\n" for at, line in enumerate(category.lines)]
    return "".join(made)


def _list(headers: Headers, message: str, last: str, rows: list[tuple[str, list[tuple[str, str]]]]) -> bytes:
    named = f"ActionID: {headers['ActionID']}\r\n" if "ActionID" in headers else ""
    start = f"Response: Success\r\n{named}EventList: start\r\nMessage: {message}\r\n\r\n"
    events = [
        f"Event: {event}\r\n{named}" + "".join(f"{key}: {value}\r\n" for key, value in fields) + "\r\n"
        for event, fields in rows
    ]
    end = f"Event: {last}\r\n{named}EventList: Complete\r\nListItems: {len(rows)}\r\n\r\n"
    return (start + "".join(events) + end).encode()


@asynccontextmanager
async def running(asterisk: Asterisk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port, for so long."""
    server = await asyncio.start_server(asterisk.serve, "127.0.0.1", 0)
    plain = port = server.sockets[0].getsockname()[1]
    front: asyncio.Server | None = None
    if tls is not None:

        async def before(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            asterisk.tasks.add(task)
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    await Front(tls, reader, writer).serve(plain)
            finally:
                asterisk.tasks.discard(task)

        front = await asyncio.start_server(before, "127.0.0.1", 0)
        port = front.sockets[0].getsockname()[1]
    try:
        yield port
    finally:
        for listening in (front, server):
            if listening is not None:
                listening.close()
        for task in list(asterisk.tasks):
            task.cancel()
        await asyncio.gather(*asterisk.tasks, return_exceptions=True)


def server_tls(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A self-signed certificate in use, and it as PEM."""
    pem, key = certificate()
    (folder / "cert.pem").write_text(pem)
    (folder / "key.pem").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, pem

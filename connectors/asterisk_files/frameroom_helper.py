#!/usr/bin/env python3
"""frameroom-helper: what Frameroom may do on an Asterisk with flat files, and nothing else.

It runs on the phone system, bound to one SSH key by a forced command, and speaks JSON lines on its standard input and
output: hello, check, page, find, view, devices, plan, rules, alter, remove, reset, and, where its configuration says
so, console: a line of a fixed list for Asterisk's own prompt. It tells id, extension, name, email
and direct numbers of people, and no password, whatever it is asked. This one file is all of it: it needs Python 3.6 or
newer and its standard library, so that whoever owns the phone system can read what they let in.

Reading order: Conf (what the administrator allows), Files (how Asterisk's files are read), Directory (who is in them),
Sieve (the lines of a few of them, sooner), Kept (the same between two visits),
Edit (how they are written: in place, all or nothing, rolled back when Asterisk refuses), Console (what Asterisk's
prompt is asked), Desk (the requests), main.
Source of the syntax: asterisk/main/config.c (process_text_line), Asterisk 22.
"""

import base64
import bisect
import fcntl
import glob
import hashlib
import itertools
import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
import time
import unicodedata

MYPY = False
if MYPY:  # for those who check types: nothing of it is there when it runs
    from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Set, Tuple, TypeVar

    Row = Tuple[int, int, bytes, int]
    Entry = Tuple[bytes, bytes, int, int, int]
    Box = Tuple[str, str]
    Blocks = List[Tuple[bytes, bytes]]
    T = TypeVar("T")

VERSION = 1
COMMAND = "frameroom-helper"
MAX_REQUEST = 16384  # bytes of one request
MAX_LINE = 8192  # bytes of one line of a file, as Asterisk itself reads them
MAX_LINES = 4000000
MAX_FILES = 500
MAX_DEPTH = 10
PIECE = 1000  # sections, lines or people that are read in one go
LOCK_S = 8.0
RELOAD_S = 7.0
CONSOLE_S = 600.0
SECRET_KEYS = ("password", "md5_cred", "password_digest", "refresh_token", "oauth_secret", "oauth_clientid")
WRITTEN_KEYS = ("password", "md5_cred", "password_digest")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,79}")
NAME = re.compile('[^\x00-\x1f\x7f-\x9f"\\\\<>;,|\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]{1,60}')
EMAIL = re.compile(r"[\w.!#$%&'*+/=?^{}~-]{1,64}@[\w-]+(\.[\w-]+)+")
E164 = re.compile(r"\+[1-9][0-9]{5,14}")
QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(<[^<>]*>)?\s*')
BARE = re.compile(r"\s*([^<>\"]*?)\s*(<[^<>]*>)\s*")
APP = re.compile(rb"\s*(\w+)\s*(?:\((.*)\))?\s*$", re.S)
ROUTE_APPS = ("noop", "goto", "dial", "answer", "hangup", "voicemail", "ringing", "progress", "wait")


class Fail(Exception):
    """Something that is said to Frameroom: a code and a reason from a fixed list, at most a file's name and a line."""

    def __init__(self, code: str, reason: str, file: str = "", line: int = 0) -> None:
        Exception.__init__(self, reason)
        self.code, self.reason, self.file, self.line = code, reason, file, line


def text_of(raw: bytes) -> str:
    """Bytes of a file, to be shown."""
    return raw.decode("utf-8", "replace")


# ---- Conf: what the administrator allows -----------------------------------------------------------------------------


class Conf:
    """The helper's own configuration file, which whoever comes in by SSH cannot change."""

    KEYS = {
        "etc": "/etc/asterisk", "spool": "/var/spool/asterisk", "asterisk": ["/usr/sbin/asterisk"], "run_as": "",
        "python": "/usr/bin/python3", "contexts": [], "voicemail_context": "default", "inbound_context": "",
        "numbers": "plus", "country_code": "44", "sip_form": "md5", "console": "off", "cache": "/var/cache/frameroom",
    }  # type: Dict[str, object]  # fmt: skip

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(1 << 16)
                given = json.loads(raw.decode("utf-8"))
        except (OSError, ValueError):
            raise Fail("failed", "conf-unreadable") from None
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Fail("failed", "conf-writable")
        if not isinstance(given, dict) or set(given) - set(self.KEYS):
            raise Fail("failed", "conf-unknown")
        for key, usual in self.KEYS.items():
            value = given.get(key, usual)
            if type(value) is not type(usual):
                raise Fail("failed", "conf-unknown")
        merged = dict(self.KEYS, **given)
        self.etc = os.path.realpath(str(merged["etc"]))
        self.spool = os.path.realpath(str(merged["spool"]))
        self.asterisk = [str(word) for word in merged["asterisk"]]
        self.run_as, self.python = str(merged["run_as"]), str(merged["python"])
        self.contexts = [str(one).encode("utf-8") for one in merged["contexts"]]
        self.voicemail_context = str(merged["voicemail_context"])
        self.inbound = str(merged["inbound_context"]).encode("utf-8")
        self.numbers, self.country = str(merged["numbers"]), str(merged["country_code"])
        self.sip_form = str(merged["sip_form"])
        self.console = str(merged["console"])
        self.keep, self.digest = str(merged["cache"]), hashlib.sha256(raw).hexdigest()
        if self.numbers not in ("plus", "digits", "national") or self.sip_form not in ("md5", "plain"):
            raise Fail("failed", "conf-unknown")
        if self.console not in ("off", "look", "act"):
            raise Fail("failed", "conf-unknown")

    def shown(self, stored: str) -> "Optional[str]":
        """A number of the dialplan as E.164, None for what is no direct number."""
        bare = stored[1:] if stored.startswith("+") else stored
        if self.numbers == "national":
            return "+" + self.country + bare[1:] if re.fullmatch(r"0[1-9][0-9]{4,13}", stored) else None
        if self.numbers == "plus" and not stored.startswith("+"):
            return None
        return "+" + bare if re.fullmatch(r"[1-9][0-9]{5,14}", bare) else None

    def stored(self, shown: str) -> str:
        """The other way round."""
        if self.numbers == "plus":
            return shown
        if self.numbers == "digits":
            return shown[1:]
        if not shown.startswith("+" + self.country):
            raise Fail("invalid", "other-country")
        return "0" + shown[1 + len(self.country) :]


# ---- Files: how Asterisk's files are read ----------------------------------------------------------------------------


class Source:
    """A file as it was when it was read."""

    __slots__ = ("name", "path", "state")

    def __init__(self, name: str, path: str, state: "Tuple[int, ...]") -> None:
        self.name, self.path, self.state = name, path, state


def state_of(found: os.stat_result) -> "Tuple[int, ...]":
    """What changes when a file does."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def active(raw: bytes, depth: int) -> "Tuple[bytes, int, int]":
    """A line without its comments, as Asterisk strips them: (text, plain, depth of block comments after it).

    `plain`: 2 when the text is how the line begins, 1 when it can be taken out but not edited (an escaped semicolon),
    0 when a block comment begins or ends in it.
    """
    if depth == 0 and b";" not in raw:
        return raw, 2, 0
    out, plain, since, at = b"", 0 if depth else 2, 0, 0
    while True:
        found = raw.find(b";", at)
        if found < 0:
            break
        if found > at and raw[found - 1 : found] == b"\\":
            if depth == 0:
                out, since, plain = out + raw[since : found - 1] + b";", found + 1, min(plain, 1)
            at = found + 1
        elif raw[found + 1 : found + 3] == b"--" and raw[found + 3 : found + 4] != b"-":
            if depth == 0:
                out += raw[since:found]
            depth, at, plain = depth + 1, found + 3, 0
        elif depth and found >= at + 2 and raw[found - 2 : found] == b"--":
            depth, at, plain = depth - 1, found + 1, 0
            since = at
        elif depth == 0:
            return out + raw[since:found], plain, 0
        else:
            at = found + 1
    return (out if depth else out + raw[since:]), plain, depth


class Whole(Exception):
    """A file can only be understood when all of it is held at once: a section adds to an earlier one."""


class Files:
    """Reads one of Asterisk's files with all that it includes, line by line, holding none of it.

    A line is (number of the file, number of the line from 0, text without comments, plain): see `active`.
    """

    def __init__(self, conf: Conf) -> None:
        self.conf = conf
        self.sources = []  # type: List[Source]
        self.globs = []  # type: List[Tuple[str, List[str]]]
        self.runs_programs = self.outside = False
        self.count = 0

    def wrong(self, file: int, number: int) -> Fail:
        """A line that Asterisk would not take either."""
        return Fail("file", "syntax", self.sources[file].name, number + 1)

    def lines(self, name: str) -> "Iterator[Row]":
        """Every active line but directives; includes are followed."""
        path = os.path.join(self.conf.etc, name)
        if not os.path.exists(path):
            self.globs.append((path, []))
            return iter(())
        return self._lines(path, 0)

    def _open(self, path: str, deep: int) -> "Optional[Tuple[BinaryIO, int]]":
        real = os.path.realpath(path)
        if not real.startswith(self.conf.etc + os.sep):
            self.outside = True
            return None
        name = os.path.relpath(real, self.conf.etc)
        if deep > MAX_DEPTH or len(self.sources) >= MAX_FILES:
            raise Fail("file", "too-many-files", name)
        try:
            file = open(real, "rb")  # noqa: SIM115 - closed by whoever reads it to its end
        except OSError:
            raise Fail("file", "unreadable", name) from None
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            file.close()
            raise Fail("file", "unreadable", name)
        self.sources.append(Source(name, real, state_of(found)))
        return file, len(self.sources) - 1

    def _lines(self, path: str, deep: int) -> "Iterator[Row]":
        opened = self._open(path, deep)
        if opened is None:
            return
        file, number = opened
        depth = at = 0
        with file:
            while True:
                raw = file.readline(MAX_LINE + 1)
                if not raw:
                    break
                at += 1
                if len(raw) > MAX_LINE or at > MAX_LINES:
                    raise Fail("file", "too-long", self.sources[number].name, at)
                if depth or b";" in raw:
                    raw, plain, depth = active(raw, depth)
                else:
                    plain = 2
                bare = raw.strip()
                if not bare:
                    continue
                if bare[:1] == b"#":
                    for path in self._included(bare):
                        for line in self._lines(path, deep + 1):
                            yield line
                else:
                    yield number, at - 1, bare, plain

    def _included(self, bare: bytes) -> "List[str]":
        """The files that a directive stands for."""
        words = bare[1:].split(None, 1)
        what = words[0].lower() if words else b""
        if what == b"exec":
            self.runs_programs = True
        if what not in (b"include", b"tryinclude") or len(words) < 2:
            return []
        wanted = words[1].strip()
        if wanted[:1] in (b'"', b"<") and wanted[-1:] == (b">" if wanted[:1] == b"<" else b'"'):
            wanted = wanted[1:-1]
        pattern = os.path.join(self.conf.etc, os.fsdecode(wanted))
        found = sorted(glob.glob(pattern))
        self.globs.append((pattern, found))
        return found

    def unchanged(self) -> bool:
        """Whether all that was read is still the same."""
        try:
            return all(state_of(os.stat(one.path)) == one.state for one in self.sources) and all(
                sorted(glob.glob(pattern)) == found for pattern, found in self.globs
            )
        except OSError:
            return False


def entry_of(line: "Row") -> "Entry":
    """`key = value` or `key => value`: (key, value, file, line, plain). One that adds, `key += value`, is not plain."""
    key, _, value = line[2].partition(b"=")
    key, plain = key.strip().lower(), line[3]
    if key.endswith(b"+"):
        key, plain = key[:-1].strip(), min(plain, 1)
    return key, (value[1:] if value[:1] == b">" else value).strip(), line[0], line[1], plain


def header_of(line: "Row", files: Files) -> "Tuple[bytes, List[bytes]]":
    """Name and options of a section's header."""
    bare = line[2]
    end = bare.find(b"]")
    if end < 0:
        raise files.wrong(line[0], line[1])
    options = []  # type: List[bytes]
    if bare[end + 1 : end + 2] == b"(":
        close = bare.find(b")", end)
        if close < 0:
            raise files.wrong(line[0], line[1])
        options = [one for one in bare[end + 2 : close].split(b",") if one]
    return bare[1:end], options


class Section:
    """`[name](options)` and its entries. `bases`: what it inherits from, in order; `headers`: lines, as in entries."""

    __slots__ = ("bases", "entries", "headers", "name", "template")

    def __init__(self, name: bytes) -> None:
        self.name, self.template = name, False
        self.bases = []  # type: List[Section]
        self.headers = []  # type: List[Tuple[int, int, int]]
        self.entries = []  # type: List[Entry]

    def all(self, key: bytes, deep: int = 0) -> "List[bytes]":
        """Values of a key, those of what it inherits from first."""
        found = []  # type: List[bytes]
        if deep < 8:
            for base in self.bases:
                found += base.all(key, deep + 1)
        for entry in self.entries:
            if entry[0] == key:
                found.append(entry[1])
        return found

    def get(self, key: bytes) -> bytes:
        """The value that counts: the last one."""
        found = self.all(key)
        return found[-1] if found else b""

    def inherits(self, key: bytes) -> bool:
        """Whether it comes from a template or another section."""
        return any(base.all(key) for base in self.bases)


def _added_to(made: "List[Section]", title: bytes, condition: bytes) -> "Optional[Section]":
    wanted = [one.partition(b"=")[::2] for one in condition.split(b"&") if one]
    for one in made:
        if one.name.lower() == title.lower() and all(one.get(key.strip().lower()) == was for key, was in wanted):
            return one
    return None


def sections(files: Files, name: str, wanted: "Optional[Set[bytes]]", whole: bool) -> "Iterator[Section]":
    """The sections of a file, each when it is complete; of other keys than `wanted` no entry is kept.

    Raises Whole unless `whole`, when a section adds to an earlier one or inherits from one that is no template.
    """
    bases = {}  # type: Dict[bytes, Section]
    made = []  # type: List[Section]
    current = None  # type: Optional[Section]
    for line in files.lines(name):
        if line[2][:1] == b"[":
            title, options = header_of(line, files)
            if current is not None:
                made.append(current)
            adds = [one for one in options if one[:1] == b"+"]
            if not whole:
                for one in made:
                    yield one
                made = []
                if adds:
                    raise Whole
            earlier = _added_to(made, title, adds[0][1:]) if adds else Section(title)
            if earlier is None:
                raise files.wrong(line[0], line[1])
            current = earlier
            if adds:
                made.remove(current)
            current.headers.append((line[0], line[1], line[3]))
            current.template = current.template or b"!" in options
            for option in options:
                if option[:1] not in (b"!", b"+"):
                    if option.lower() not in bases:
                        raise files.wrong(line[0], line[1]) if whole else Whole
                    current.bases.append(bases[option.lower()])
            if whole or current.template:
                bases.setdefault(title.lower(), current)
        elif current is None:
            raise files.wrong(line[0], line[1])
        else:
            entry = entry_of(line)
            if wanted is None or entry[0] in wanted:
                current.entries.append(entry)
    if current is not None:
        made.append(current)
    for one in made:
        yield one


# ---- Directory: who is in them ---------------------------------------------------------------------------------------


class Account:
    """One endpoint: a telephone's account. `prefix` is b"" in pjsip.conf; a wizard's keys begin with it."""

    __slots__ = ("aors", "auths", "box", "callerid", "context", "id", "wizard")

    def __init__(self, section: Section, wizard: bool, conf: Conf) -> None:
        lead = b"endpoint/" if wizard else b""
        self.id = text_of(section.name)
        self.wizard = wizard
        self.callerid = text_of(section.get(lead + b"callerid"))
        self.context = section.get(lead + b"context")
        self.box = box_of(text_of(section.get(lead + b"mailboxes")), conf)
        if wizard:
            self.auths = self.aors = (self.id,)  # type: Tuple[str, ...]
        else:
            self.auths, self.aors = self._names(section.get(b"auth")), self._names(section.get(b"aors"))
            self.aors = self.auths if self.auths == self.aors else self.aors

    def extension(self) -> str:
        """What is dialled: the caller id's number, else the mailbox, else the account's own name."""
        found = QUOTED.fullmatch(self.callerid) or BARE.fullmatch(self.callerid)
        inner = (found.group(2) or "")[1:-1] if found else ""
        bare = self.callerid if re.fullmatch(r"[0-9*#+]{1,20}", self.callerid) else ""
        extension = inner or bare or (self.box[1] if self.box else "")
        return extension if re.fullmatch(r"[A-Za-z0-9*#+._-]{1,40}", extension) else self.id

    def _names(self, value: bytes) -> "Tuple[str, ...]":
        names = [text_of(one.strip()) for one in value.split(b",") if one.strip()]
        # Nearly every account names itself: one string for all three.
        return tuple(self.id if one == self.id else one for one in names)


def box_of(value: str, conf: Conf) -> "Optional[Box]":
    """The first mailbox that is named, as (context, mailbox)."""
    first = value.split(",")[0].strip()
    mailbox, _, context = first.partition("@")
    return (context or conf.voicemail_context, mailbox) if mailbox else None


def name_of(callerid: str) -> str:
    """The name in `"Name" <1001>`, `Name <1001>` or `Name`; of anything else nothing is shown."""
    quoted, bare = QUOTED.fullmatch(callerid), BARE.fullmatch(callerid)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted.group(1))
    name = bare.group(1) if bare else callerid.strip()
    return "" if re.search(r'[<>="@;]', name) else name


def renamed(callerid: str, name: str, extension: str) -> str:
    """The caller id with another name: its number and its way of quoting stay."""
    quoted, bare = QUOTED.fullmatch(callerid), BARE.fullmatch(callerid)
    number = (quoted and quoted.group(2)) or (bare and bare.group(2)) or "<" + extension + ">"
    plain = bare and bare.group(1) and re.fullmatch(r"[\w .'-]+", name)
    return name + " " + number if plain else '"' + name + '" ' + number


class Route:
    """A direct number: the lines that say where its calls go."""

    __slots__ = ("lines", "number", "odd", "simple", "targets")

    def __init__(self, number: str) -> None:
        self.odd = None  # type: Optional[Entry]
        self.number = number
        self.lines = []  # type: List[Entry]
        self.targets = set()  # type: Set[Tuple[str, str]]
        self.simple = True

    def add(self, entry: "Entry", app: bytes, contexts: "Set[bytes]") -> None:
        """One more line of it."""
        self.lines.append(entry)
        found = APP.match(app)
        if found is None and app.strip():
            self.odd, self.simple = entry, False  # whom it rings cannot be told
        elif found is not None and text_of(found.group(1)).lower() not in ROUTE_APPS:
            self.simple = False
        self.targets.update(targets_of(app, contexts))


def targets_of(app: bytes, contexts: "Set[bytes]") -> "List[Tuple[str, str]]":
    """Whom a line of the dialplan rings: an extension of one of these contexts, an account, or something else."""
    found = APP.match(app)
    if found is None:
        return []
    name, words = found.group(1).lower(), [one.strip() for one in (found.group(2) or b"").split(b",")]
    if name == b"goto" and (len(words) == 2 or (len(words) == 3 and words[0] in contexts)):
        return [("extension", text_of(words[-2]))]
    if name == b"goto" and len(words) == 3:
        return [("other", "")]
    devices = words[0].split(b"&") if name == b"dial" else []
    parts = [device.strip().partition(b"/") for device in devices]
    return [("account" if kind.lower() == b"pjsip" else "other", text_of(who)) for kind, _, who in parts]


class Person:
    """One person: the accounts that share a caller id and a mailbox, the first of them by name giving the id."""

    __slots__ = ("accounts", "ddis", "email", "extension", "name")

    def __init__(self, accounts: "Tuple[Account, ...]") -> None:
        self.accounts = accounts
        self.email = None  # type: Optional[str]
        self.ddis = ()  # type: Tuple[str, ...]
        self.name = self.extension = ""

    @property
    def id(self) -> str:
        """Of the first account."""
        return self.accounts[0].id

    @property
    def box(self) -> "Optional[Box]":
        """(context, mailbox)."""
        return self.accounts[0].box

    def shown(self, told: bool) -> "Dict[str, Any]":
        """What may be told, and all of it. `told`: whether direct numbers can be."""
        return {
            "id": self.id, "extension": self.extension, "name": self.name, "email": self.email,
            "ddis": list(self.ddis) if told else None,
        }  # fmt: skip


def mailboxes(files: Files) -> "Iterator[Tuple[Box, Entry]]":
    """Every mailbox of voicemail.conf."""
    context = ""
    for line in files.lines("voicemail.conf"):
        if line[2][:1] == b"[":
            context = text_of(header_of(line, files)[0])
        elif context not in ("", "general", "zonemessages"):
            entry = entry_of(line)
            yield (context, text_of(entry[0])), entry


def inbound(files: Files, context: bytes) -> "Iterator[Tuple[str, Entry, bytes]]":
    """Every line of a context of the dialplan, its header too: (number, entry, application)."""
    inside, number = False, ""
    for line in files.lines("extensions.conf"):
        if line[2][:1] == b"[":
            inside, number = header_of(line, files)[0] == context, ""
            if inside:
                yield "", (b"", b"", line[0], line[1], line[3]), b""
        elif inside:
            entry = entry_of(line)
            words = entry[1].split(b",", 2 if entry[0] == b"exten" else 1)
            if entry[0] == b"exten":
                number = text_of(words[0].strip())
            if entry[0] in (b"exten", b"same"):
                yield number, entry, words[-1]


ENDPOINT = {b"type", b"callerid", b"mailboxes", b"context", b"auth", b"aors"}
ENDPOINT |= {b"endpoint/" + key for key in (b"callerid", b"mailboxes", b"context")}
SECRET = {key.encode() for key in SECRET_KEYS} | {b"inbound_auth/" + key.encode() for key in SECRET_KEYS}


class Directory:
    """Everybody, as the files have it now: as little of it as tells who they are. What a change needs of one person is
    read anew (`Detail`)."""

    def __init__(self, conf: Conf, files: "Optional[Files]" = None) -> None:
        self.began = time.time()
        self.conf, self.files = conf, files or Files(conf)
        self.accounts = {}  # type: Dict[str, Account]
        self.people = {}  # type: Dict[str, Person]
        self.contexts = set()  # type: Set[bytes]
        self.ids = []  # type: List[str]
        self.odd = self.numbers = 0
        self.has_inbound = False
        self._secrets = set()  # type: Set[int]

    def read(self, whole: bool = False) -> "Iterator[None]":
        """Reads everybody, piece by piece: between two of them whoever asks for something else can be answered."""
        for name, wizard in (("pjsip.conf", False), ("pjsip_wizard.conf", True)):
            for _ in self._read_accounts(name, wizard, whole):
                yield
        self.contexts = set(self.conf.contexts) | set(one.context for one in self.accounts.values()) | {b""}
        boxes = {}  # type: Dict[Box, Tuple[str, str]]
        for at, (box, entry) in enumerate(mailboxes(self.files)):
            fields = [text_of(one.strip()) for one in entry[1].split(b",", 3)[:3]] + ["", ""]
            self._secrets.add(hash(entry[1].split(b",", 1)[0].strip()))
            boxes[box] = fields[1], fields[2]
            if at % PIECE == 0:
                yield
        numbers = {}  # type: Dict[Tuple[str, str], Tuple[str, ...]]
        for _ in self._read_numbers(numbers) if self.conf.inbound else ():
            yield
        for _ in self._group(boxes, numbers):
            yield
        self._secrets = set()
        self.ids = sorted(self.people)

    def _read_accounts(self, name: str, wizard: bool, whole: bool) -> "Iterator[None]":
        kind = b"wizard" if wizard else b"endpoint"
        allowed, seen = self.conf.contexts, {}  # type: List[bytes], Dict[bytes, bytes]
        for at, section in enumerate(sections(self.files, name, ENDPOINT | SECRET, whole)):
            if at % PIECE == 0:
                yield
            for entry in section.entries:
                if entry[0] in SECRET:
                    self._secrets.add(hash(entry[1]))
            if section.template or section.get(b"type") != kind:
                continue
            found = Account(section, wizard, self.conf)
            found.context = seen.setdefault(found.context, found.context)
            if found.context not in allowed if allowed else not (found.callerid or found.box):
                continue
            if not ID.fullmatch(found.id) or found.id in self.accounts:
                self.odd += 1
                continue
            self.accounts[found.id] = found

    def _read_numbers(self, numbers: "Dict[Tuple[str, str], Tuple[str, ...]]") -> "Iterator[None]":
        last = ""
        for at, (number, _, app) in enumerate(inbound(self.files, self.conf.inbound)):
            if at % PIECE == 0:
                yield
            self.has_inbound = True
            shown = self.conf.shown(number)
            if shown is not None:
                self.numbers += number != last
                last = number
                for target in targets_of(app, self.contexts):
                    numbers[target] = numbers.get(target, ()) + (shown,)

    def _group(
        self, boxes: "Dict[Box, Tuple[str, str]]", numbers: "Dict[Tuple[str, str], Tuple[str, ...]]"
    ) -> "Iterator[None]":
        groups = {}  # type: Dict[object, List[Account]]
        for one in self.accounts.values():
            groups.setdefault((one.callerid, one.box) if one.callerid and one.box else one.id, []).append(one)
        while groups:
            accounts = groups.popitem()[1]
            if len(accounts) > 1:
                accounts.sort(key=lambda one: one.id)
            person = Person(tuple(accounts))
            self.people[person.id] = person
            self._describe(person, boxes, numbers)
            if len(groups) % PIECE == 0:
                yield

    def _describe(
        self, person: Person, boxes: "Dict[Box, Tuple[str, str]]",
        numbers: "Dict[Tuple[str, str], Tuple[str, ...]]",
    ) -> None:  # fmt: skip
        callerid, box = person.accounts[0].callerid, person.box
        extension = person.accounts[0].extension()
        person.extension = person.id if extension == person.id else extension
        name, email = boxes.get(box, ("", "")) if box else ("", "")
        person.name = self.clean(name_of(callerid)) or self.clean(name)
        first = email.split("|")[0]
        person.email = first if EMAIL.fullmatch(first) else None
        mine = numbers.get(("extension", person.extension), ())
        for one in person.accounts:
            mine += numbers.get(("account", one.id), ())
        person.ddis = tuple(sorted(set(mine))) if len(mine) > 1 else mine

    def clean(self, name: str) -> str:
        """A name as it may be shown: what is only digits, or a word that is a password here, is withheld."""
        if not name or re.fullmatch(r"[0-9]{4,}", name) or "=" in name:
            return ""
        words = [name] + name.split()
        return "" if any(len(one) > 4 and hash(one.encode("utf-8")) in self._secrets for one in words) else name[:200]

    def person(self, key: str) -> Person:
        """One. Fail when there is none."""
        if key not in self.people:
            raise Fail("not-found", "not-found")
        return self.people[key]

    def others(self, person: Person) -> "List[Account]":
        """Everybody else's accounts."""
        mine = set(one.id for one in person.accounts)
        return [one for one in self.accounts.values() if one.id not in mine]


SIFTED_FROM = 1 << 19  # bytes of all files: fewer are read as fast
FEW = 6000  # people whose lines are looked for at once
SPARE = 20  # titles beyond a page: not each is a person's
CUT = bytes.maketrans(b"&/() \t\r\v\f=>", b"," * 11)  # a line of the dialplan, cut into its words
BLOCK = re.compile(rb";--(?!-)")
DIRECTIVE = re.compile(rb"\n[ \t\r\v\f]*#[^\n]*")
INDENTED = re.compile(rb"\n[ \t\r\v\f]+\[")


class Unsifted(Exception):
    """Which lines tell of somebody cannot be said of these files without reading all of them."""


def places(several: "List[bytes]", wanted: "Set[bytes]") -> "Iterator[int]":
    """Where in the list any of these is."""
    return itertools.compress(range(len(several)), map(wanted.__contains__, several))


def rows(text: bytes) -> "Iterator[Row]":
    """The active lines of a piece of text without block comments and directives."""
    for raw in text.split(b"\n"):
        bare = active(raw, 0)[0].strip()
        if bare:
            yield 0, 0, bare, 2


def values(text: bytes, key: bytes, end: bytes = b"") -> "Set[bytes]":
    """What stands behind "=" wherever a key is named: all its values, and perhaps what is none. `end`: what ends one
    beside a semicolon."""
    return set(map(bytes.strip, re.findall(key + rb"[^=\n]*=>?([^;\n" + end + rb"]*)", text)))


def callerids(pieces: "List[bytes]") -> "List[bytes]":
    """Of a text that was cut at each "callerid": the caller id each begins with, b"" where that is part of a word."""
    ends = [one.partition(b"=")[0] for one in pieces]
    others = {one for one in set(ends) if one.strip(b"+ \t\r\v\f")}
    lines = [one.partition(b"\n")[0].partition(b";")[0] for one in pieces]
    return [b"" if ends[at] in others else one.partition(b"=")[2].strip(b"> \t\r\v\f") for at, one in enumerate(lines)]


class Sieve(Files):
    """The same files, of which `lines` gives only what tells of some people (`wanted`): a page of many is read long
    before all of them are.

    It judges no line: that `Directory` does, as ever. What it must see to is that no line it leaves out would have
    changed the answer. So it may let through too many, and where it cannot be sure it raises Unsifted: at block
    comments, indented or broken headers, sections that add to others, templates with a caller id, and so on.
    """

    ACCOUNTS = ("pjsip.conf", "pjsip_wizard.conf")

    def __init__(self, conf: Conf) -> None:
        Files.__init__(self, conf)
        self.accounts = {}  # type: Dict[str, Account]
        self.words = set()  # type: Set[bytes]
        self._titles = {}  # type: Dict[str, List[bytes]]
        self._blocks = {}  # type: Dict[str, List[bytes]]
        self._templates = {}  # type: Dict[str, Set[int]]
        self._callerids = {}  # type: Dict[str, List[bytes]]
        self._between = {}  # type: Dict[str, List[bytes]]
        self._picked = {}  # type: Dict[str, List[int]]
        self._contexts = set()  # type: Set[bytes]
        names = self.ACCOUNTS + ("voicemail.conf",) + (("extensions.conf",) if conf.inbound else ())
        texts = [(name, self._text(os.path.join(conf.etc, name), 0)) for name in names]
        if sum(len(text) for _, text in texts) < SIFTED_FROM:
            raise Unsifted
        for name, text in texts:
            self._split(name, text)
        # Many are in order already: that is sorted sooner than a set.
        self.names = sorted(dict.fromkeys(self._titles[self.ACCOUNTS[0]] + self._titles[self.ACCOUNTS[1]]))

    def _text(self, path: str, deep: int) -> bytes:
        """A file with all that it includes."""
        if not deep and not os.path.exists(path):
            self.globs.append((path, []))
            return b""
        opened = self._open(path, deep)
        if opened is None:
            return b""
        with opened[0] as file:
            text = file.read()
        at = 0
        while len(text) - at > MAX_LINE:
            at = text.rfind(b"\n", at, at + MAX_LINE) + 1
            if not at:
                raise Unsifted  # a line that is too long
        if BLOCK.search(text) or (len(text) >= MAX_LINES and text.count(b"\n") >= MAX_LINES):
            raise Unsifted
        text = b"\n" + text
        return DIRECTIVE.sub(lambda found: self._inside(found.group(0), deep), text) if b"#" in text else text

    def _inside(self, directive: bytes, deep: int) -> bytes:
        return b"".join(self._text(path, deep + 1) for path in self._included(active(directive, 0)[0].strip()))

    def _split(self, name: str, text: bytes) -> None:
        """A file's sections, by title; what is looked for in all of them is noted."""
        blocks = text.split(b"\n[")
        if text.count(b"[") != len(blocks) - 1 and INDENTED.search(text):
            raise Unsifted
        if any(True for _ in rows(blocks.pop(0))) and name in self.ACCOUNTS:
            raise Unsifted  # an entry of no section
        heads = [one.partition(b"\n")[0] for one in blocks]
        titles = [one.partition(b"]")[0] for one in heads]
        if b";" in b"".join(titles):
            raise Unsifted
        options = [head[len(titles[at]) :] for at, head in enumerate(heads)]
        templates = self._judge(options, titles, name in self.ACCOUNTS)
        self._titles[name], self._blocks[name] = titles, blocks
        if name in self.ACCOUNTS:
            self._templates[name] = templates
            self._note(name, text, text.lower())
        elif name == "voicemail.conf":
            self.words |= values(text.lower(), b"\n", b",")

    def _judge(self, behind: "List[bytes]", titles: "List[bytes]", inherits: bool) -> "Set[int]":
        """Whether each header is well-formed, by what stands behind the title; the numbers of the templates."""
        different = set(behind)
        if len(different) > 200:
            raise Unsifted
        options = {}  # type: Dict[bytes, List[bytes]]
        for one in different:
            try:
                options[one] = header_of((0, 0, active(b"[" + one, 0)[0].strip(), 2), self)[1]
            except Fail:
                raise Unsifted from None
        if not inherits:
            return set()
        special = set(one for one in different if b"!" in options[one])
        made = set(places(behind, special))
        firsts = {}  # type: Dict[bytes, int]
        for at in sorted(made):
            firsts.setdefault(titles[at].lower(), at)
        for one in different:
            first = behind.index(one)
            for option in options[one]:
                if option[:1] == b"+" or (option[:1] != b"!" and firsts.get(option.lower(), first) >= first):
                    raise Unsifted
        return made

    def _note(self, name: str, text: bytes, low: bytes) -> None:
        """All caller ids, all words that may be a password, and all contexts."""
        for key in (b"password", b"md5_cred", b"refresh_token", b"oauth_"):
            self.words |= values(low, key)
        between = low.split(b"callerid")
        self._callerids[name] = callerids(between)
        self._between[name] = between
        if any(b"callerid" in self._blocks[name][at].lower() for at in self._templates[name]):
            raise Unsifted
        if self.conf.inbound and not self.conf.contexts:
            self._contexts |= values(text, b"context")
            joined = b"".join(self._contexts)
            if joined != joined.translate(CUT) or low.count(b"context") != text.count(b"context"):
                raise Unsifted

    def few(self, names: "List[bytes]") -> "Few":
        """Some people, and whoever could be the same person as one of them. Unsifted."""
        wanted, told = set(names), set()  # type: Set[bytes], Set[bytes]
        for name in self.ACCOUNTS:
            for at in places(self._titles[name], wanted):
                told.update(callerids(self._blocks[name][at].lower().split(b"callerid")))
        told.discard(b"")
        wanted.update(title for name in self.ACCOUNTS for title in self._sharing(name, told))
        if len(wanted) > FEW:
            raise Unsifted
        for name in self.ACCOUNTS:
            self._picked[name] = sorted(self._templates[name].union(places(self._titles[name], wanted)))
        found = Few(self)
        try:
            for _ in found.read():
                pass
        except (Whole, Fail):
            raise Unsifted from None
        return found

    def _sharing(self, name: str, callerids: "Set[bytes]") -> "Iterator[bytes]":
        """The titles of the sections that have one of these caller ids."""
        section, counted, between = -1, 0, self._between[name]
        for at in places(self._callerids[name], callerids):
            section += sum([one.count(b"\n[") for one in between[counted:at]])
            counted = at
            if section >= 0:  # and not in a comment before all of them
                yield self._titles[name][section]

    def page(self, cursor: str, limit: int) -> "Tuple[List[Person], bool]":
        """Those after that id, and whether there are more. Unsifted."""
        start = bisect.bisect_right(self.names, cursor.encode("utf-8", "surrogatepass"))
        many = limit + SPARE
        while True:
            names = self.names[start : start + many]
            found, mine = self.few(names), set(names)
            ids = [one for one in found.ids if one.encode("ascii") in mine]
            if len(ids) > limit or start + many >= len(self.names):
                return [found.people[one] for one in ids[:limit]], len(ids) > limit
            many *= 4

    def lines(self, name: str) -> "Iterator[Row]":
        """Those that tell of the few, by their sections first and then by their `accounts`."""
        if name == "voicemail.conf":
            return self._boxes()
        if name == "extensions.conf":
            return self._routes()
        return rows(b"".join(b"\n[" + self._blocks[name][at] for at in self._picked[name]))

    def _boxes(self) -> "Iterator[Row]":
        boxes = set(one.box[1] for one in self.accounts.values() if one.box)
        if any(";" in one or "\ufffd" in one for one in boxes):
            raise Unsifted
        wanted = set(one.encode("utf-8").strip(b"+ ") for one in boxes)
        for block in self._blocks["voicemail.conf"]:
            head, *entries = (b"[" + block).split(b"\n")
            keys = [one.partition(b"=")[0].partition(b";")[0].strip(b"+ \t\r\v\f").lower() for one in entries]
            mine = [entries[at] for at, key in enumerate(keys) if key in wanted]
            for line in rows(b"\n".join([head] + mine)):
                yield line

    def _routes(self) -> "Iterator[Row]":
        accounts = self.accounts.values()
        wanted = set(word.encode("ascii") for one in accounts for word in (one.id, one.extension()))
        unsure = self._contexts - set(one.context for one in accounts) - {b""}
        contexts = enumerate(self._titles["extensions.conf"])
        for block in [self._blocks["extensions.conf"][at] for at, title in contexts if title == self.conf.inbound]:
            lines, kept = (b"[" + block).split(b"\n"), {0}
            cut = block.translate(CUT).split(b"\n")
            for at in [at for at, line in enumerate(cut) if not wanted.isdisjoint(line.split(b","))]:
                if not unsure.isdisjoint(cut[at].split(b",")):
                    raise Unsifted  # whether that is a context of people's telephones, all of them say
                # With the line that says whose number it is.
                while at not in kept:
                    kept.add(at)
                    at -= not any(entry_of(row)[0] == b"exten" for row in rows(lines[at]))
            for row in rows(b"\n".join(lines[at] for at in sorted(kept))):
                yield row


class Few(Directory):
    """Some people, of the lines of theirs alone."""

    def __init__(self, sieve: Sieve) -> None:
        Directory.__init__(self, sieve.conf, sieve)
        sieve.accounts, self._words = self.accounts, sieve.words

    def clean(self, name: str) -> str:
        """The same, unless it may be a password. Unsifted."""
        told = Directory.clean(self, name)
        words = [one.encode("utf-8").lower() for one in [name] + name.split() if told and len(one) > 4]
        if any(one in self._words or b";" in one for one in words):
            raise Unsifted
        return told


KEPT_FROM = 2000  # people: fewer are read as fast as they could be kept
KEPT_STEP = 20
KEPT_SETTLED_S = 1.1  # a file that was written later than so long before may be written again within the same tick


class Kept:
    """People as they are told, kept in a file of ours between two visits: whoever asks need not wait until everything
    was read. It holds what `page` tells, sorted by id, and no more: no password, and no name that is withheld.

    It is taken only while every file that it was made from is the same (device, inode, size, times), with the same
    configuration and helper; else it is removed. Its folder is the administrator's to make: private to our account, or
    nothing is kept.
    """

    def __init__(self, conf: Conf, file: "BinaryIO", header: "Dict[str, Any]") -> None:
        self.files = Files(conf)
        self.files.sources = [Source(name, path, tuple(state)) for name, path, state in header["sources"]]
        self.files.globs = [(pattern, found) for pattern, found in header["globs"]]
        self._file, self._start = file, file.tell()
        self._ids = [str(one[0]) for one in header["index"]]
        self._offsets = [int(one[1]) for one in header["index"]]

    @staticmethod
    def place(conf: Conf) -> str:
        """Where it is; "" where nothing may be kept."""
        try:
            found = os.lstat(conf.keep)
        except (OSError, ValueError):
            return ""
        private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        return os.path.join(conf.keep, "people") if private else ""

    @staticmethod
    def mark(conf: Conf) -> str:
        """What is the same as long as the configuration and this file are."""
        with open(os.path.abspath(__file__), "rb") as file:
            return hashlib.sha256(file.read() + conf.digest.encode("ascii")).hexdigest()

    @classmethod
    def read(cls, conf: Conf) -> "Optional[Kept]":
        """What is kept, if it still holds; what does not is removed."""
        path = cls.place(conf)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") if path else None
        except OSError:
            return None
        if file is None:
            return None
        made = None  # type: Optional[Kept]
        try:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
                header = json.loads(file.readline(1 << 22).decode("utf-8"))
                made = cls(conf, file, header) if header["mark"] == cls.mark(conf) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            made = None  # none of ours
        if made is not None and made._offsets and made.files.unchanged():
            return made
        file.close()
        cls.drop(conf)
        return None

    @classmethod
    def drop(cls, conf: Conf) -> None:
        """Nothing is kept any more."""
        path = cls.place(conf)
        if path:
            forget(path)

    @classmethod
    def write(cls, conf: Conf, known: Directory) -> "Iterator[None]":
        """Keeps everybody, piece by piece, if that is worth it and may be done."""
        path = cls.place(conf)
        settled = known.began - KEPT_SETTLED_S
        sources = known.files.sources
        if not path or len(known.ids) < KEPT_FROM or any(max(one.state[3:]) > settled * 1e9 for one in sources):
            return
        told, index, offset = [], [], 0  # type: List[bytes], List[Tuple[str, int]], int
        for number, key in enumerate(known.ids):
            if number % KEPT_STEP == 0:
                index.append((key, offset))
            told.append(json.dumps(known.people[key].shown(bool(conf.inbound))).encode("ascii") + b"\n")
            offset += len(told[-1])
            if number % PIECE == 0:
                yield
        if not known.files.unchanged():
            return  # who was removed meanwhile is kept nowhere
        header = {
            "mark": cls.mark(conf), "index": index, "globs": known.files.globs,
            "sources": [(one.name, one.path, one.state) for one in sources],
        }  # fmt: skip
        for left in glob.glob(glob.escape(path) + ".*"):
            forget(left)  # of one that was ended in the middle
        beside = "%s.%d" % (path, os.getpid())
        try:
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as target:
                target.write(json.dumps(header).encode("ascii") + b"\n")
                target.writelines(told)
            os.replace(beside, path)
        except OSError:
            forget(beside)  # a full disk: everything is read again next time

    def after(self, key: str, words: "Tuple[str, ...]" = ()) -> "Iterator[Dict[str, Any]]":
        """Everybody from that id on, itself among them, but for who surely has not all of these words."""
        # What is written as it is read need not be taken apart to see that a word is not in it.
        plain = [one.encode("ascii") for one in words if re.fullmatch(r"[a-z0-9@.+_-]+", one)]
        block = max(0, bisect.bisect_right(self._ids, key) - 1)
        self._file.seek(self._start + self._offsets[block])
        for line in self._file:
            if plain and b"\\u" not in line:
                lower = line.lower()
                if any(word not in lower for word in plain):
                    continue
            one = json.loads(line.decode("ascii"))
            if one["id"] >= key:
                yield one

    def page(self, cursor: str, limit: int) -> "Tuple[List[Dict[str, Any]], bool]":
        """Those after that id, and whether there are more."""
        found = []  # type: List[Dict[str, Any]]
        for one in self.after(cursor):
            if one["id"] != cursor:
                if len(found) == limit:
                    return found, True
                found.append(one)
        return found, False

    def person(self, key: str) -> "Dict[str, Any]":
        """One. Fail when there is none."""
        lead = b'{"id": ' + json.dumps(key).encode("ascii") + b","
        block = max(0, bisect.bisect_right(self._ids, key) - 1)
        ends = self._offsets[block + 1 : block + 2] or [self._offsets[block] + KEPT_STEP * MAX_LINE]
        some = os.pread(self._file.fileno(), ends[0] - self._offsets[block], self._start + self._offsets[block])
        for line in some.split(b"\n"):
            if line.startswith(lead):
                found = json.loads(line.decode("ascii"))  # type: Dict[str, Any]
                return found
        raise Fail("not-found", "not-found")


class Detail:
    """What a change of one person needs, with every entry and where it stands: sections, mailbox, routes."""

    def __init__(self, known: Directory, person: Person, whole: bool = False) -> None:
        self.files = Files(known.conf)
        self.realm = "asterisk"
        self.found = {}  # type: Dict[Tuple[str, bytes], Section]
        self.bases = []  # type: List[Section]
        names = set(name for one in person.accounts for name in (one.id,) + one.auths + one.aors)
        for file in ("pjsip.conf", "pjsip_wizard.conf"):
            for section in sections(self.files, file, None, whole):
                self.bases += section.bases if whole else []
                kind, name = section.get(b"type"), text_of(section.name)
                if kind == b"global":
                    self.realm = text_of(section.get(b"default_realm")) or self.realm
                if name in names and not section.template:
                    self.found.setdefault((name, kind), section)
        self.box = None  # type: Optional[Entry]
        for box, entry in mailboxes(self.files):
            self.box = entry if box == person.box else self.box
        self._read_routes(known, person)

    def _read_routes(self, known: Directory, person: Person) -> None:
        """`routes`: the person's; `taken`: all numbers; `inbound_at`: behind which line a new one goes."""
        conf, routes = known.conf, {}  # type: Conf, Dict[str, Route]
        self.taken = set()  # type: Set[str]
        self.inbound_at = None  # type: Optional[Tuple[int, int, int]]
        mine = set(person.ddis)
        for number, entry, app in inbound(self.files, conf.inbound) if conf.inbound else ():
            self.inbound_at = entry[2:]
            shown = conf.shown(number)
            if shown is not None:
                self.taken.add(shown)
                if shown in mine:
                    routes.setdefault(number, Route(number)).add(entry, app, known.contexts)
        self.routes = list(routes.values())

    def endpoint(self, account: Account) -> Section:
        """An account's own section."""
        found = self.found.get((account.id, b"wizard" if account.wizard else b"endpoint"))
        if found is None:
            raise Fail("conflict", "changed")
        return found


def detail(known: Directory, person: Person) -> Detail:
    """Read for a change; held whole where the files ask for it."""
    try:
        return Detail(known, person)
    except Whole:
        return Detail(known, person, whole=True)


# ---- Edit: how they are written --------------------------------------------------------------------------------------

EOL = re.compile(rb"\r?\n?$")


class Sheet:
    """One file's lines, and what becomes of them. What is not touched stays byte for byte."""

    def __init__(self, source: Source) -> None:
        self.source = source
        with open(source.path, "rb") as file:
            if state_of(os.fstat(file.fileno())) != source.state:
                raise Fail("conflict", "changed")
            self.lines = file.read().splitlines(True)
        self.changed = {}  # type: Dict[int, Optional[bytes]]
        self.added = {}  # type: Dict[int, List[bytes]]

    def quiet(self, number: int) -> bool:
        """Whether a line is a comment by itself, outside any block."""
        if not 0 <= number < len(self.lines) or not self.lines[number].lstrip().startswith(b";"):
            return False
        depth = 0
        for raw in self.lines[:number]:
            depth = active(raw, depth)[2] if depth or b";--" in raw else 0
        return depth == 0 and active(self.lines[number], 0)[1:] == (2, 0)

    def content(self) -> bytes:
        """The file as it is to be."""
        out = []  # type: List[bytes]
        end = b"\r\n" if self.lines and self.lines[0].endswith(b"\r\n") else b"\n"
        for number, raw in enumerate(self.lines):
            kept = self.changed.get(number, raw)
            if kept is not None:
                out.append(kept)
            for text in self.added.get(number, ()):
                if out and not out[-1].endswith(b"\n"):
                    out[-1] += end
                out.append(text + end)
        texts = [text for several in self.added.values() for text in several]
        if any(text is not None and len(text) > MAX_LINE - 2 for text in texts + list(self.changed.values())):
            raise Fail("invalid", "too-long")
        return b"".join(out)


class Edit:
    """Changes to several files, written all or none."""

    def __init__(self) -> None:
        self.sheets = {}  # type: Dict[str, Sheet]
        self.modules = set()  # type: Set[str]

    def sheet(self, files: Files, file: int, module: str) -> Sheet:
        """The file's sheet; Asterisk will be asked to load that module again."""
        source = files.sources[file]
        self.modules.add(module)
        if source.path not in self.sheets:
            self.sheets[source.path] = Sheet(source)
        sheet = self.sheets[source.path]
        if sheet.source.state != source.state:
            raise Fail("conflict", "changed")
        return sheet

    def put(self, files: Files, entry: "Entry", value: bytes, module: str, key: bytes = b"") -> None:
        """Another value, and where asked another key, on the entry's own line: indentation and comment stay."""
        sheet = self.sheet(files, entry[2], module)
        raw = sheet.changed.get(entry[3]) or sheet.lines[entry[3]]
        if entry[4] != 2:
            raise Fail("refused", "odd-line", sheet.source.name, entry[3] + 1)
        body = active(raw, 0)[0].rstrip()
        equals = body.index(b"=")
        start = equals + (2 if body[equals + 1 : equals + 2] == b">" else 1)
        start = len(body) - len(body[start:].lstrip())
        head = raw[:start]
        if key:
            old = body[:equals].strip()
            at = raw.index(old)
            head = raw[:at] + key + raw[at + len(old) : start]
        sheet.changed[entry[3]] = head + value + raw[len(body) :]

    def value(self, files: Files, entry: "Entry", module: str) -> bytes:
        """An entry's value as it is by now."""
        changed = self.sheet(files, entry[2], module).changed.get(entry[3])
        return entry[1] if changed is None else entry_of((0, 0, active(changed, 0)[0].strip(), 2))[1]

    def drop(self, files: Files, entry: "Entry", module: str) -> None:
        """Take a line out."""
        sheet = self.sheet(files, entry[2], module)
        if not entry[4]:
            raise Fail("refused", "odd-line", sheet.source.name, entry[3] + 1)
        sheet.changed[entry[3]] = None

    def after(self, files: Files, at: "Tuple[int, int, int]", text: bytes, module: str) -> None:
        """A new line behind one that is there (file, line, plain)."""
        sheet = self.sheet(files, at[0], module)
        if not at[2]:
            raise Fail("refused", "odd-line", sheet.source.name, at[1] + 1)
        sheet.added.setdefault(at[1], []).append(text)

    def set(self, files: Files, section: Section, key: bytes, value: bytes, module: str) -> None:
        """A section's own value of a key: on its line, or as a new line at the section's end."""
        own = [entry for entry in section.entries if entry[0] == key]
        if own:
            self.put(files, own[-1], value, module)
            return
        last = section.entries[-1] if section.entries else None
        at = (last[2], last[3], last[4]) if last else section.headers[-1]
        raw = self.sheet(files, at[0], module).lines[at[1]]
        spaced = last is not None and re.search(rb"\s=>?\s", raw) is not None
        self.after(files, at, key + (b" = " if spaced else b"=") + value, module)

    def drop_section(self, files: Files, section: Section, name: str, module: str) -> None:
        """A whole section: headers, entries, comments between them, and a comment above that is only the name."""
        places = section.headers + [(entry[2], entry[3], entry[4]) for entry in section.entries]
        for place in places:
            self.drop(files, (b"", b"", place[0], place[1], place[2]), module)
        for file, header, _ in section.headers:
            sheet = self.sheet(files, file, module)
            mine = [number for other, number, _ in places if other == file and number >= header]
            starts = [number for other, number, _ in section.headers if other == file and number > header]
            last = max(number for number in mine if not starts or number < min(starts))
            for number in range(header, last):
                if sheet.lines[number].strip() and number not in sheet.changed and sheet.quiet(number):
                    sheet.changed[number] = None
            self._tidy(sheet, header, last, name)

    def drop_line(self, files: Files, entry: "Entry", name: str, module: str) -> None:
        """One line, and a comment above it that is only the name."""
        self.drop(files, entry, module)
        self._tidy(self.sheet(files, entry[2], module), entry[3], entry[3], name)

    @staticmethod
    def _tidy(sheet: Sheet, first: int, last: int, name: str) -> None:
        above = first - 1
        if sheet.quiet(above) and text_of(sheet.lines[above].strip(b"; \t\r\n")) == name:
            sheet.changed[above] = None
            above -= 1
        blank = above < 0 or not sheet.lines[above].strip()
        if blank and last + 1 < len(sheet.lines) and not sheet.lines[last + 1].strip():
            sheet.changed[last + 1] = None

    def commit(self, console: "Console") -> None:
        """Write all, have Asterisk load them, and put the files back when it does not.

        New files beside the old ones, flushed; the old ones kept under another name until Asterisk took the new.
        """
        ready = []  # type: List[Tuple[str, str, str]]
        try:
            for path, sheet in self.sheets.items():
                if sheet.changed or sheet.added:
                    ready.append((path, _written(path, sheet), hidden(path, "old")))
            for path, sheet in self.sheets.items():
                if state_of(os.stat(path)) != sheet.source.state:
                    raise Fail("conflict", "changed")
            for path, _, old in ready:
                forget(old)  # under the lock, and after `_recover`: what is still there is nobody's
                os.link(path, old)
            sync(path for path, _, _ in ready)
        except OSError:
            for _, new, old in ready:
                forget(new)
                forget(old)
            raise Fail("failed", "not-writable") from None
        except Fail:
            for _, new, _ in ready:
                forget(new)
            raise
        try:
            for path, new, _ in ready:
                os.rename(new, path)
            sync(path for path, _, _ in ready)
            console.reload(self.modules)
        except (Fail, OSError) as error:
            put_back([path for path, _, _ in ready])
            for _, new, _ in ready:
                forget(new)
            if not isinstance(error, Fail) or error.reason != "console":
                again = "" if console.takes(self.modules) else "-unsure"
                raise Fail("unknown" if again else "failed", "reload" + again) from None
            raise Fail("failed", "console") from None
        for _, _, old in ready:
            forget(old)
        sync(path for path, _, _ in ready)


def hidden(path: str, kind: str) -> str:
    """A name beside the file that no `#include *.conf` finds."""
    return os.path.join(os.path.dirname(path), ".%s.frameroom-%s" % (os.path.basename(path), kind))


def forget(path: str) -> None:
    """Remove a file that may be gone."""
    if os.path.lexists(path):
        os.unlink(path)


def sync(paths: "Iterator[str]") -> None:
    """Make names durable."""
    for folder in set(os.path.dirname(path) for path in paths):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _written(path: str, sheet: Sheet) -> str:
    """The new content in a file beside the old one, with its owner, mode and extended attributes, flushed."""
    new, was = hidden(path, "new"), os.stat(path)
    forget(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(sheet.content())
            file.flush()
            if (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            for name in os.listxattr(path):
                if not name.startswith("security.") or os.geteuid() == 0:
                    os.setxattr(file.fileno(), name, os.getxattr(path, name))
            os.fchmod(file.fileno(), stat.S_IMODE(was.st_mode))
            os.fsync(file.fileno())
    except PermissionError:
        forget(new)
        raise Fail("failed", "owner") from None
    except BaseException:
        forget(new)
        raise
    return new


def put_back(paths: "List[str]") -> None:
    """The old files under their names again."""
    try:
        for path in paths:
            if os.path.lexists(hidden(path, "old")):
                os.rename(hidden(path, "old"), path)
        sync(iter(paths))
    except OSError:
        raise Fail("unknown", "not-put-back") from None


def leftovers(folder: str) -> "List[str]":
    """Files of ours that a change in progress has, or one that was killed left behind."""
    found = []  # type: List[str]
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        ours = [one for one in names if one.startswith(".") and one.endswith((".frameroom-old", ".frameroom-new"))]
        found += [os.path.join(place, one) for one in ours]
    return found


class Lock:
    """One writer at a time: a lock on the folder itself. What a writer that died left half done is put back first."""

    def __init__(self, conf: Conf, console: "Console") -> None:
        self.conf, self.console, self.descriptor = conf, console, -1

    def __enter__(self) -> None:
        try:
            self.descriptor = os.open(self.conf.etc, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            raise Fail("file", "missing", os.path.basename(self.conf.etc)) from None
        until = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    os.close(self.descriptor)
                    raise Fail("refused", "busy") from None
                time.sleep(0.05)
        self._recover()

    def _recover(self) -> None:
        left = leftovers(self.conf.etc)
        for one in left:
            if one.endswith(".frameroom-new"):
                forget(one)
        old = [one for one in left if one.endswith(".frameroom-old")]
        if old:
            put_back([os.path.join(os.path.dirname(one), os.path.basename(one)[1:-14]) for one in old])
            self.console.takes(set(MODULES))

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


PJSIP, VOICEMAIL, DIALPLAN = MODULES = ("res_pjsip.so", "app_voicemail.so", "pbx_config.so")


# What may be asked for by the request `console`: words as they are, and what may stand in place of a NAME, a MODULE or
# a CHANNEL. No other line can be expressed; "!" and whatever prints a password are not among these.
SLOTS = {
    "NAME": r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "MODULE": r"(res_pjsip|app_voicemail|pbx_config|app_queue)\.so",
    "CHANNEL": r"[A-Za-z]{2,12}/[A-Za-z0-9][A-Za-z0-9._@-]{0,63}-[0-9a-f]{8}",
}  # fmt: skip
LOOKS = (
    "core show version", "core show uptime", "core show channels", "core show calls", "manager show connected",
    "module show like NAME", "pjsip show endpoints", "pjsip show endpoint NAME", "pjsip list endpoints",
    "pjsip show aors", "pjsip show contacts", "pjsip show registrations", "voicemail show users", "queue show",
    "queue show NAME",
)  # fmt: skip
ACTS = (
    "pjsip qualify NAME",
    "module reload MODULE",
    "dialplan reload",
    "voicemail reload",
    "pjsip send register NAME",
    "pjsip send unregister NAME",
    "core reload",
    "channel request hangup CHANNEL",
    "core restart gracefully",
    "core abort shutdown",
)
# What of their output goes no further: arguments of applications that take a PIN, and variables of a telephone.
WITHHELD = re.compile(
    rb"(?im)((?:Authenticate|DISA|SendDTMF|AgentLogin|MeetMe|SayDigits|SayAlpha|Macro|Gosub|Set)\()[^\r\n]*"
    rb"|^(\s*set_var\s*:\s*)\S[^\r\n]*"
)

# It prints a telephone's variables in one list with its options, by their own names: only what is known as an option of
# Asterisk 16 to 23 (res_pjsip/pjsip_configuration.c) is told.
OPTIONS = frozenset(
    (
        b"100rel accept_multiple_sdp_answers accountcode acl aggregate_mwi allow allow_overlap allow_subscribe "
        b"allow_transfer allow_unauthenticated_options aors asymmetric_rtp_codec auth bind_rtp_to_media_address bundle "
        b"call_group callerid callerid_privacy callerid_tag codec_prefs_incoming_answer codec_prefs_incoming_offer "
        b"codec_prefs_outgoing_answer codec_prefs_outgoing_offer connected_line_method contact_acl contact_deny "
        b"contact_permit contact_user context cos_audio cos_video deny device_state_busy_at direct_media "
        b"direct_media_glare_mitigation direct_media_method disable_direct_media_on_nat disallow "
        b"dtls_auto_generate_cert dtls_ca_file dtls_ca_path dtls_cert_file dtls_cipher dtls_fingerprint "
        b"dtls_private_key dtls_rekey dtls_setup dtls_verify dtmf_mode fax_detect fax_detect_timeout "
        b"follow_early_media_fork follow_redirect_methods force_avp force_rport from_domain from_user "
        b"g726_non_standard geoloc_incoming_call_profile geoloc_outgoing_call_profile ice_support identify_by "
        b"ignore_183_without_sdp inband_progress incoming_call_offer_pref incoming_mwi_mailbox language mailboxes "
        b"max_audio_streams max_video_streams media_address media_encryption media_encryption_optimistic "
        b"media_use_received_transport message_context moh_passthrough moh_suggest mwi_from_user "
        b"mwi_subscribe_replaces_unsolicited named_call_group named_pickup_group notify_early_inuse_ringing "
        b"one_touch_recording outbound_auth outbound_proxy outgoing_call_offer_pref overlap_context permit "
        b"pickup_group preferred_codec_only record_off_feature record_on_feature redirect_method refer_blind_progress "
        b"rewrite_contact rpid_immediate rtcp_mux rtp_engine rtp_ipv6 rtp_keepalive rtp_port_end rtp_port_start "
        b"rtp_symmetric rtp_timeout rtp_timeout_hold sdp_owner sdp_session security_mechanisms security_negotiation "
        b"send_aoc send_connected_line send_diversion send_history_info send_pai send_rpid srtp_tag_32 stir_shaken "
        b"stir_shaken_profile sub_min_expiry subscribe_context suppress_moh_on_sendonly suppress_q850_reason_headers "
        b"t38_bind_udptl_to_media_address t38_udptl t38_udptl_ec t38_udptl_ipv6 t38_udptl_maxdatagram t38_udptl_nat "
        b"tenantid timers timers_min_se timers_sess_expires tone_zone tos_audio tos_video transport "
        b"trust_connected_line trust_id_inbound trust_id_outbound type use_avpf use_ptime user_eq_phone "
        b"voicemail_extension webrtc ParameterName"
    ).split()
)
NAMED = re.compile(rb"(?m)^( (\S[^\r\n]*?) : )[^\r\n]*\S[^\r\n]*")


def withheld(raw: bytes, line: str = "") -> bytes:
    """Whole lines of output, the answer to this one, without that."""
    raw = WITHHELD.sub(
        lambda found: found.group(1) + b"(withheld))" if found.group(1) else found.group(2) + b"(withheld)", raw
    )
    if not line.startswith("pjsip show endpoint "):
        return raw
    return NAMED.sub(
        lambda found: found.group(0) if found.group(2).rstrip() in OPTIONS else found.group(1) + b"(withheld)", raw
    )


def listed(line: object, lines: "Tuple[str, ...]") -> bool:
    """Whether a line is one of these."""
    if not isinstance(line, str) or len(line) > 200:
        return False
    for one in lines:
        words = "[ ]".join(SLOTS[word] if word in SLOTS else re.escape(word) for word in one.split(" "))
        if re.fullmatch(words, line):
            return True
    return False


class Console:
    """Asterisk's own command line: the four lines below, and those of `stream`; no other can be asked."""

    LINES = tuple("module reload " + name for name in MODULES) + ("core show version", "pjsip show contacts")

    def __init__(self, conf: Conf) -> None:
        self.conf = conf

    def ask(self, line: str, within: float = RELOAD_S) -> str:
        """The answer. Fail when there is none."""
        if line not in self.LINES:
            raise Fail("failed", "internal")
        try:
            done = subprocess.run(
                self.conf.asterisk + ["-rx", line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, timeout=within, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Fail("failed", "slow") from None  # it may still do what it was asked
        except OSError:
            raise Fail("failed", "console") from None
        told = done.stdout.decode("utf-8", "replace")
        if done.returncode != 0 or "Unable to connect to remote asterisk" in told:
            raise Fail("failed", "console")
        return told

    def stream(self, line: object, source: "BinaryIO") -> "Iterator[bytes]":
        """The output of a line of LOOKS or ACTS as it comes. Whoever closes `source` ends it."""
        allowed = {"off": (), "look": LOOKS, "act": LOOKS + ACTS}  # type: Dict[str, Tuple[str, ...]]
        if self.conf.console == "off":
            raise Fail("unsupported", "console-off")
        if not listed(line, LOOKS + ACTS):
            raise Fail("invalid", "console-line")
        if not listed(line, allowed[self.conf.console]):
            raise Fail("unsupported", "console-looks")
        try:
            child = subprocess.Popen(
                self.conf.asterisk + ["-rx", str(line)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            )  # fmt: skip
        except OSError:
            raise Fail("failed", "console") from None
        until, held, descriptor = time.monotonic() + CONSOLE_S, b"", child.stdout.fileno() if child.stdout else -1
        try:
            while True:
                ready = select.select([descriptor, source.fileno()], [], [], max(0.0, until - time.monotonic()))[0]
                if source.fileno() in ready or not ready:
                    raise Fail("failed", "slow")  # nobody listens any more, or it has gone on for too long
                data = os.read(descriptor, 32768 - len(held))
                cut = (held + data).rfind(b"\n") + 1 if data else len(held)
                whole, held = (held + data)[:cut], (held + data)[cut:]
                if len(held) > MAX_LINE:
                    raise Fail("failed", "console")  # no line of Asterisk's is so long
                if whole:
                    yield withheld(whole, str(line))
                if not data:
                    break
            if child.wait() != 0:
                raise Fail("failed", "console")
        finally:
            child.kill()
            if child.stdout is not None:
                child.stdout.close()
            child.wait()

    def reload(self, modules: "Set[str]") -> None:
        """Fail unless Asterisk says of each that it was loaded again."""
        until = time.monotonic() + RELOAD_S
        for name in sorted(modules):
            while True:
                told = self.ask("module reload " + name, max(1.0, until - time.monotonic()))
                if "Module '%s' reloaded successfully." % name in told:
                    break
                if "already in progress" not in told or time.monotonic() > until:
                    raise Fail("failed", "reload")
                time.sleep(0.2)

    def takes(self, modules: "Set[str]") -> bool:
        """Whether it loads them, when nothing more can be done where it does not."""
        try:
            self.reload(modules)
        except Fail:
            return False
        return True


# ---- Desk: the requests ----------------------------------------------------------------------------------------------


def fingerprint(value: object) -> str:
    """As Frameroom's guard makes it: what a field must still be is compared without being sent."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()


def word(text: str) -> str:
    """As searched for: whatever its case, and however its letters are composed."""
    return unicodedata.normalize("NFC", text).casefold()


def sip_hash(username: str, realm: str, secret: str) -> str:
    """RFC 7616 section 3.4.2, A1 with MD5, which is what telephones speak."""
    plain = (username + ":" + realm + ":" + secret).encode("utf-8")
    try:
        return hashlib.md5(plain, usedforsecurity=False).hexdigest()
    except TypeError:  # before Python 3.9
        return hashlib.md5(plain).hexdigest()  # noqa: S324 - what SIP's digest authentication is made of


class Desk:
    """One method a request. What it returns is sent; Fail is sent as code and reason."""

    def __init__(self, conf: Conf) -> None:
        self.conf = conf
        self.console = Console(conf)
        self._known = None  # type: Optional[Directory]
        self._kept = None  # type: Optional[Kept]
        self._sieve = None  # type: Optional[Sieve]
        self._pieces = None  # type: Optional[Iterator[None]]

    def known(self) -> Directory:
        """Everybody: read again when a file changed."""
        if self._current() is None:
            begun = self._pieces is not None
            self._finish()
            if begun and self._current() is None:
                self._finish()  # a file changed while others were answered in between
        if self._known is None:
            raise Fail("failed", "internal")
        return self._known

    def _current(self) -> "Optional[Directory]":
        """Everybody, if they were read as the files are now."""
        if self._known is not None and not self._known.files.unchanged():
            self._known = self._kept = self._pieces = None
        return self._known

    def _finish(self) -> None:
        """Read to the end what was begun, or all."""
        self._pieces = self._pieces or self._read()
        try:
            while self._known is None:
                next(self._pieces, None)
        except BaseException:
            self._pieces = None
            raise

    def _read(self) -> "Iterator[None]":
        """Everybody, piece by piece, and then what is kept of them."""
        known = Directory(self.conf)
        try:
            for _ in known.read():
                yield
        except Whole:
            known = Directory(self.conf)
            for _ in known.read(whole=True):
                yield
        self._known, self._kept, self._sieve = known, None, None
        for _ in Kept.write(self.conf, known):
            yield

    def kept(self) -> "Optional[Kept]":
        """What an earlier visit read, until it is read anew in this one."""
        if self._current() is None and (self._kept is None or not self._kept.files.unchanged()):
            self._kept = Kept.read(self.conf)
        return self._kept if self._known is None else None

    def sieve(self) -> "Optional[Sieve]":
        """The files as a few people's lines are taken out of them, until everybody was read. Unsifted."""
        if self._current() is not None:
            return None
        if self._sieve is None or not self._sieve.unchanged():
            self._sieve = None
            self._sieve = Sieve(self.conf)
        return self._sieve

    def recover(self) -> None:
        """Put back what a helper that was killed left half done, before anything is read."""
        if leftovers(self.conf.etc):
            try:
                with Lock(self.conf, self.console):
                    self._known = None
            except (Fail, OSError):
                self._known = None  # whoever changes something next meets the same, and says so

    def ahead(self) -> bool:
        """Do a piece of what is done while nobody waits: read everybody, keep them. False when nothing is left of it.
        What is wrong with the files is said when they are asked for."""
        try:
            if self._pieces is not None:
                next(self._pieces)
            elif self._kept is not None or self._known is not None or self.kept() is not None:
                return False
            else:
                self._pieces = self._read()
                self._sifted(lambda _: None)
        except (StopIteration, Fail, OSError):
            self._pieces = None
            return False
        return True

    def end(self) -> None:
        """What was begun is done to its end, for the next visit."""
        while (self._pieces or self._sieve) and Kept.place(self.conf) and self.ahead():
            pass

    def answer(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """One request."""
        name = asked.get("do")
        if name not in ("hello", "check", "page", "find", "view", "devices", "plan", "rules", "alter", "remove",
                        "reset"):  # fmt: skip
            raise Fail("invalid", "request")
        method = getattr(self, "do_" + name)
        return method(asked)  # type: ignore[no-any-return]

    def _key(self, asked: "Dict[str, Any]") -> str:
        key = asked.get("id")
        if not isinstance(key, str) or not ID.fullmatch(key):
            raise Fail("invalid", "id")
        return key

    @staticmethod
    def _limit(asked: "Dict[str, Any]") -> int:
        limit = asked.get("limit")
        if type(limit) is not int or not 1 <= limit <= 500:
            raise Fail("invalid", "limit")
        return limit

    def _shown(self, person: Person) -> "Dict[str, Any]":
        return person.shown(bool(self.conf.inbound))

    def do_hello(self, _: "Dict[str, Any]") -> "Dict[str, Any]":
        """Which helper this is."""
        with open(os.path.abspath(__file__), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        return {
            "helper": COMMAND, "version": VERSION, "digest": digest, "python": "%d.%d" % sys.version_info[:2],
            "console": self.conf.console,
        }  # fmt: skip

    def do_page(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """By id; `cursor` is the last one seen."""
        cursor, limit = asked.get("cursor"), self._limit(asked)
        if cursor is not None and not isinstance(cursor, str):
            raise Fail("invalid", "cursor")
        kept = self.kept()
        if kept is not None:
            people, more = kept.page(cursor or "", limit)
            return {"people": people, "more": more}
        found = self._sifted(lambda sieve: sieve.page(cursor or "", limit))
        if found is None:
            known = self.known()
            start = bisect.bisect_right(known.ids, cursor) if cursor else 0
            ids = known.ids[start : start + limit]
            found = [known.people[one] for one in ids], start + limit < len(known.ids)
        return {"people": [self._shown(one) for one in found[0]], "more": found[1]}

    def _sifted(self, ask: "Callable[[Sieve], T]") -> "Optional[T]":
        """What the lines of a few people say, until everybody was read; None where that cannot be said so."""
        try:
            sieve = self.sieve()
            return None if sieve is None else ask(sieve)
        except (Unsifted, Fail):  # what is wrong with a file, a reading of all says
            return None

    def do_find(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """Every word is in the name, the email, the extension or a number."""
        limit, words = self._limit(asked), asked.get("words")
        if not isinstance(words, str) or len(words) > 200:
            raise Fail("invalid", "words")
        wanted = [word(self._number(one)) for one in words.split()]
        found = []  # type: List[Dict[str, Any]]
        for person in self._everybody(tuple(wanted)) if wanted else ():
            parts = [person["name"], person["email"] or "", person["extension"], person["id"]] + (person["ddis"] or [])
            text = word("\n".join(parts))
            if all(one in text for one in wanted):
                found.append(person)
                if len(found) == limit:
                    break
        return {"people": found}

    def _everybody(self, words: "Tuple[str, ...]") -> "Iterator[Dict[str, Any]]":
        """As they are told, by id, with whoever has these words among them."""
        kept = self.kept()
        if kept is not None:
            return kept.after("", words)
        known = self.known()
        return (self._shown(known.people[key]) for key in known.ids)

    def _number(self, typed: str) -> str:
        """A word that looks like a direct number, as numbers are told."""
        digits = re.sub(r"[().\-/]", "", typed)
        if re.fullmatch(r"0[0-9]{6,14}", digits):
            return "+" + self.conf.country + digits[1:]
        return digits if re.fullmatch(r"\+[0-9]{3,15}", digits) else typed

    def do_view(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """One person."""
        key, kept = self._key(asked), self.kept()
        if kept is not None:
            return {"person": kept.person(key)}
        found = self._sifted(lambda sieve: sieve.few([key.encode("ascii")]))
        return {"person": self._shown((found or self.known()).person(key))}

    def do_devices(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """Network addresses of the person's registered telephones, by account."""
        person = self.known().person(self._key(asked))
        aors = set(name for one in person.accounts for name in one.aors)
        told = self.console.ask("pjsip show contacts")
        found = re.findall(r"^\s*Contact:\s+([^/\s]+)/sips?:(?:[^@\s]*@)?([A-Za-z0-9.:\[\]_-]{1,120})", told, re.M)
        return {"devices": [{"account": aor, "address": where} for aor, where in found if aor in aors][:50]}

    def do_check(self, _: "Dict[str, Any]") -> "Dict[str, Any]":
        """What is in order here, and what is not: names and counts alone."""
        lines = []  # type: List[Dict[str, Any]]

        def tell(what: str, ok: bool, file: str = "", count: int = 0) -> None:
            lines.append({"what": what, "ok": ok, "file": file, "count": count})

        try:
            tell("console", self.console.ask("core show version").startswith("Asterisk "))
        except Fail:
            tell("console", False)
        known = self.known()
        tell("people", bool(known.people), count=len(known.people))
        caller, groups = _caller()
        for source in known.files.sources:
            found = os.stat(source.path)
            tell("readable", not _may_read(found, caller, groups), source.name)
            folder = os.access(os.path.dirname(source.path), os.W_OK | os.X_OK)
            tell("writable", folder and (found.st_uid == os.geteuid() or os.geteuid() == 0), source.name)
        if self.conf.inbound:
            tell("inbound", known.has_inbound, count=known.numbers)
        if len(known.people) >= KEPT_FROM:
            tell("kept", bool(Kept.place(self.conf)))
        if known.odd:
            tell("odd", False, count=known.odd)
        if known.files.runs_programs:
            tell("exec", False)
        if known.files.outside:
            tell("outside", False)
        return {"lines": [one for one in lines if not one["ok"] or one["what"] not in ("readable", "writable")]
                + [{"what": "files", "ok": True, "file": "", "count": len(known.files.sources)}]}  # fmt: skip

    # What a removal or a reset would meet

    def do_plan(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """What `remove` takes away and leaves, in names."""
        known = self.known()
        person = known.person(self._key(asked))
        return self._plan(known, person, detail(known, person))

    def _plan(self, known: Directory, person: Person, read: Detail) -> "Dict[str, Any]":
        others = known.others(person)
        kept = set(name for one in others for name in one.auths)
        shared_box = read.box is not None and any(one.box == person.box for one in others)
        gone = [one for one in read.routes if one.simple and not self._also(known, one, person)]
        return {
            "accounts": [one.id for one in person.accounts],
            "mailbox": "@".join(reversed(person.box)) if person.box and read.box and not shared_box else None,
            "numbers": [self.conf.shown(one.number) for one in gone],
            "shared_mailbox": shared_box,
            "shared_sip": any(name in kept for one in person.accounts for name in one.auths),
            "kept_numbers": [self.conf.shown(one.number) for one in read.routes if one not in gone],
            "numbers_told": bool(self.conf.inbound),
        }

    @staticmethod
    def _also(known: Directory, route: Route, person: Person) -> bool:
        """Whether a number rings anybody or anything else too."""
        ids = set(one.id for one in person.accounts)
        for kind, who in route.targets:
            if kind == "other" or (kind == "account" and who not in ids):
                return True
            if kind == "extension" and who != person.extension:
                return True
        return any(one.extension == person.extension for one in known.people.values() if one is not person)

    def do_rules(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """Whether a secret of this kind can be written, and how it is kept."""
        known = self.known()
        person = known.person(self._key(asked))
        read = detail(known, person)
        if asked.get("kind") == "voicemail":
            self._box(known, person, read)
            return {"stored": "pin", "accounts": 1}
        if asked.get("kind") != "sip":
            raise Fail("unsupported", "kind")
        return {"stored": self.conf.sip_form, "accounts": self._write_sip(known, person, read, "x", Edit())}

    @staticmethod
    def _box(known: Directory, person: Person, read: Detail) -> "Entry":
        """The person's own mailbox."""
        if read.box is None:
            raise Fail("refused", "no-mailbox")
        if any(one.box == person.box for one in known.others(person)):
            raise Fail("refused", "shared-mailbox")
        return read.box

    # Writing

    def _begin(self, asked: "Dict[str, Any]") -> "Tuple[Directory, Person, Detail]":
        known = self.known()
        person = known.person(self._key(asked))
        return known, person, detail(known, person)

    def _end(self, known: Directory, read: Detail, edit: Edit) -> "Dict[str, Any]":
        if not known.files.unchanged() or not read.files.unchanged():
            raise Fail("conflict", "changed")
        Kept.drop(self.conf)  # also where the change is taken back: it holds who may be gone in a moment
        self._known = self._kept = self._pieces = None
        edit.commit(self.console)
        return {"ok": True}

    def do_alter(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """Name, email, number, each with the fingerprint of what it must still be: all or nothing."""
        changes = asked.get("changes")
        if not isinstance(changes, dict) or not changes or set(changes) - {"name", "email", "ddis"}:
            raise Fail("invalid", "request")
        with Lock(self.conf, self.console):
            known, person, read = self._begin(asked)
            now, edit = person.shown(True), Edit()
            for field, change in changes.items():
                if not isinstance(change, list) or len(change) != 2:
                    raise Fail("invalid", "request")
                if fingerprint(now[field]) != change[0]:
                    raise Fail("conflict", "changed")
            if "name" in changes:
                self._rename(known, person, read, changes["name"][1], edit)
            if "email" in changes:
                self._mail(known, person, read, changes["email"][1], edit)
            if "ddis" in changes:
                self._dial(known, person, read, changes["ddis"][1], edit)
            return self._end(known, read, edit)

    def _rename(self, known: Directory, person: Person, read: Detail, name: object, edit: Edit) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name != name.strip():
            raise Fail("invalid", "name")
        for one in person.accounts:
            key = b"endpoint/callerid" if one.wizard else b"callerid"
            value = renamed(one.callerid, name, person.extension).encode("utf-8")
            edit.set(read.files, read.endpoint(one), key, value, PJSIP)
        if read.box is not None and not any(one.box == person.box for one in known.others(person)):
            self._field(read, read.box, 1, name, edit)

    def _mail(self, known: Directory, person: Person, read: Detail, email: object, edit: Edit) -> None:
        if email is not None and (not isinstance(email, str) or not EMAIL.fullmatch(email) or len(email) > 254):
            raise Fail("invalid", "email")
        entry = self._box(known, person, read)
        if b"|" in b",".join(entry[1].split(b",")[2:3]):
            raise Fail("refused", "several-emails")
        self._field(read, entry, 2, email or "", edit)

    @staticmethod
    def _field(read: Detail, entry: "Entry", index: int, value: str, edit: Edit) -> None:
        """One of a mailbox's fields: PIN, name, email; the others stay byte for byte."""
        fields = edit.value(read.files, entry, VOICEMAIL).split(b",")
        fields += [b""] * (index + 1 - len(fields))
        fields[index] = value.encode("utf-8")
        edit.put(read.files, entry, b",".join(fields), VOICEMAIL)

    def _dial(self, known: Directory, person: Person, read: Detail, numbers: object, edit: Edit) -> None:
        if not self.conf.inbound:
            raise Fail("unsupported", "no-inbound")
        if not isinstance(numbers, list) or len(numbers) > 1 or not all(isinstance(one, str) for one in numbers):
            raise Fail("invalid", "number")
        if numbers and not E164.fullmatch(numbers[0]):
            raise Fail("invalid", "number")
        routes = read.routes
        if len(routes) > 1:
            raise Fail("refused", "several-numbers")
        odd = routes[0].odd if routes else None
        if odd is not None:
            raise Fail("refused", "odd-line", read.files.sources[odd[2]].name, odd[3] + 1)
        if routes and (self._also(known, routes[0], person) or (not numbers and not routes[0].simple)):
            raise Fail("refused", "route-does-more")
        if not numbers:
            for entry in routes[0].lines if routes else ():
                edit.drop(read.files, entry, DIALPLAN)
            return
        wanted = self.conf.stored(numbers[0])
        if routes and routes[0].number == wanted:
            return
        if numbers[0] in read.taken:
            raise Fail("taken", "taken")
        if not routes:
            self._new_route(person, read, wanted, edit)
            return
        for entry in routes[0].lines:
            if entry[0] == b"exten":
                edit.put(read.files, entry, wanted.encode() + b"," + entry[1].split(b",", 1)[1], DIALPLAN)

    def _new_route(self, person: Person, read: Detail, number: str, edit: Edit) -> None:
        context = person.accounts[0].context
        if read.inbound_at is None:
            raise Fail("refused", "no-inbound-context")
        if not re.fullmatch(rb"[A-Za-z0-9_.-]{1,79}", context) or not self._rings(context, person.extension):
            raise Fail("refused", "no-extension")
        line = "exten => %s,1,Goto(%s,%s,1)" % (number, text_of(context), person.extension)
        edit.after(read.files, read.inbound_at, line.encode(), DIALPLAN)

    def _rings(self, context: bytes, extension: str) -> bool:
        """Whether the dialplan has this extension in this context."""
        found = ((number, entry) for number, entry, _ in inbound(Files(self.conf), context))
        return any(number == extension and entry[1].split(b",")[1:2] == [b"1"] for number, entry in found)

    def do_remove(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """Accounts, their passwords, mailbox, numbers; what others share stays."""
        with Lock(self.conf, self.console):
            known, person, read = self._begin(asked)
            expected = asked.get("expected")
            if not isinstance(expected, dict) or set(expected) != {"extension", "name"}:
                raise Fail("invalid", "request")
            if any(fingerprint(getattr(person, key)) != was for key, was in expected.items()):
                raise Fail("conflict", "changed")
            plan, edit = self._plan(known, person, read), Edit()
            for section in self._parts(known, person, read):
                if section in read.bases:
                    raise Fail("refused", "used-as-template")
                edit.drop_section(read.files, section, person.name, PJSIP)
            if plan["mailbox"] is not None and read.box is not None:
                edit.drop_line(read.files, read.box, person.name, VOICEMAIL)
            for route in read.routes:
                if self.conf.shown(route.number) in plan["numbers"]:
                    for entry in route.lines:
                        edit.drop(read.files, entry, DIALPLAN)
            return self._end(known, read, edit)

    @staticmethod
    def _parts(known: Directory, person: Person, read: Detail) -> "List[Section]":
        """The person's own sections: endpoints, and auths and aors that nobody else uses."""
        others = known.others(person)
        auths = set(name for one in others for name in one.auths)
        aors = set(name for one in others for name in one.aors)
        found = []  # type: List[Section]
        for one in person.accounts:
            found.append(read.endpoint(one))
            if not one.wizard:
                mine = [(name, b"auth") for name in one.auths if name not in auths]
                mine += [(name, b"aor") for name in one.aors if name not in aors]
                found += [read.found[key] for key in mine if key in read.found]
        return [one for at, one in enumerate(found) if one not in found[:at]]

    def do_reset(self, asked: "Dict[str, Any]") -> "Dict[str, Any]":
        """Write a new PIN or SIP password."""
        kind, secret = asked.get("kind"), asked.get("secret")
        shape = r"[0-9]{4,10}" if kind == "voicemail" else r"[A-Za-z0-9]{8,128}"
        if kind not in ("voicemail", "sip") or not isinstance(secret, str) or not re.fullmatch(shape, secret):
            raise Fail("invalid", "secret")
        with Lock(self.conf, self.console):
            known, person, read = self._begin(asked)
            edit = Edit()
            if kind == "sip":
                self._write_sip(known, person, read, secret, edit)
            else:
                self._write_pin(person, read, self._box(known, person, read), secret, edit)
            return self._end(known, read, edit)

    def _write_pin(self, person: Person, read: Detail, entry: "Entry", secret: str, edit: Edit) -> None:
        kept = self._spooled(person, entry)
        if kept is None:
            # A "-" in front says that the user may not change it by telephone: it stays.
            lead = "-" if entry[1].startswith(b"-") else ""
            self._field(read, entry, 0, lead + secret, edit)
            return
        files = Files(self.conf)
        found = os.stat(kept)
        files.sources.append(Source("secret.conf", kept, state_of(found)))
        sheet = edit.sheet(files, 0, VOICEMAIL)
        for number, raw in enumerate(sheet.lines):
            if active(raw, 0)[1] == 2 and raw.split(b"=")[0].strip() == b"password":
                edit.put(files, (b"password", b"", 0, number, 2), secret.encode(), VOICEMAIL)
                return
        raise Fail("refused", "odd-line", "secret.conf", 1)

    def _spooled(self, person: Person, entry: "Entry") -> "Optional[str]":
        """The file in the spool that holds the PIN, where Asterisk keeps it there."""
        options = entry[1].split(b",", 4)[4:5]
        asked = re.search(rb"passwordlocation=(\w+)", options[0] if options else b"")
        if (asked.group(1) != b"spooldir") if asked else not self._spooling():
            return None
        path = os.path.join(self.conf.spool, "voicemail", *(person.box or ()) + ("secret.conf",))
        real = os.path.realpath(path)
        if not real.startswith(self.conf.spool + os.sep):
            raise Fail("refused", "odd-line", "secret.conf", 1)
        return real if os.path.exists(real) else None

    def _spooling(self) -> bool:
        """Whether voicemail.conf says so for everybody."""
        files, found = Files(self.conf), False
        general = False
        for line in files.lines("voicemail.conf"):
            if line[2][:1] == b"[":
                general = header_of(line, files)[0] == b"general"
            elif general and entry_of(line)[0] == b"passwordlocation":
                found = entry_of(line)[1].lower() == b"spooldir"
        return found

    def _write_sip(self, known: Directory, person: Person, read: Detail, secret: str, edit: Edit) -> int:
        """All of the person's devices; how many passwords that were. Old ones of every form go: one left would win."""
        shared = set(name for one in known.others(person) for name in one.auths)
        done = set()  # type: Set[str]
        for one in person.accounts:
            lead = b"inbound_auth/" if one.wizard else b""
            for name in one.auths:
                if name in shared:
                    raise Fail("refused", "shared-sip")
                section = read.endpoint(one) if one.wizard else read.found.get((name, b"auth"))
                if section is None:
                    raise Fail("refused", "no-auth")
                if name not in done:
                    self._write_auth(read, section, lead, secret, edit)
                done.add(name)
        if not done:
            raise Fail("unsupported", "no-sip")
        return len(done)

    def _write_auth(self, read: Detail, section: Section, lead: bytes, secret: str, edit: Edit) -> None:
        keys = [lead + key.encode() for key in WRITTEN_KEYS]
        username = text_of(section.get(lead + b"username"))
        if section.get(lead + b"auth_type") == b"google_oauth" or not username:
            raise Fail("unsupported", "no-sip")
        if any(section.inherits(key) for key in keys):
            raise Fail("refused", "in-template")
        realm = text_of(section.get(lead + b"realm")) or read.realm
        if self.conf.sip_form == "plain":
            kind, key, value = b"userpass", lead + b"password", secret
        else:
            kind, key, value = b"md5", lead + b"md5_cred", sip_hash(username, realm, secret)
        own = [entry for entry in section.entries if entry[0] in keys]
        first = next((entry for entry in own if entry[4] == 2), None)
        for entry in own:
            if entry is first:
                edit.put(read.files, entry, value.encode(), PJSIP, key)
            else:
                edit.drop(read.files, entry, PJSIP)
        if first is None:
            edit.set(read.files, section, key, value.encode(), PJSIP)
        if section.get(lead + b"auth_type") != kind:
            edit.set(read.files, section, lead + b"auth_type", kind, PJSIP)


def _caller() -> "Tuple[int, List[int]]":
    """Whoever came in by SSH, as sudo tells it, or ourselves: user and groups."""
    if "SUDO_UID" not in os.environ:
        return os.getuid(), os.getgroups()
    uid, gid = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1"))
    return uid, os.getgrouplist(os.environ.get("SUDO_USER", ""), gid)


def _may_read(found: os.stat_result, uid: int, groups: "List[int]") -> bool:
    """Whether that account could read a file without the helper."""
    if uid == 0 or found.st_uid == uid:
        return True
    return bool(found.st_mode & (stat.S_IRGRP if found.st_gid in groups else stat.S_IROTH))


# ---- main ------------------------------------------------------------------------------------------------------------


def told(fail: Fail) -> "Dict[str, Any]":
    """A Fail as it is sent."""
    name = fail.file if re.fullmatch(r"[A-Za-z0-9._/-]{1,100}", fail.file) else ""
    return {"error": fail.code, "reason": fail.reason, "file": name, "line": fail.line}


def serve(desk: Desk) -> None:
    """Requests from standard input until it ends. Nothing else is ever written than answers of `Desk` and `told`."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while True:
        raw = source.readline(MAX_REQUEST + 1)
        if not raw:
            desk.end()
            return
        number = None
        try:
            if len(raw) > MAX_REQUEST:
                raise Fail("invalid", "too-long")
            asked = json.loads(raw.decode("utf-8"))
            if not isinstance(asked, dict) or type(asked.get("n")) is not int:
                raise Fail("invalid", "request")
            number = asked["n"]
            if asked.get("do") == "console":
                for piece in desk.console.stream(asked.get("line"), source):
                    told_so_far = {"n": number, "out": base64.b64encode(piece).decode("ascii")}
                    target.write(json.dumps(told_so_far).encode("ascii") + b"\n")
                    target.flush()
                answer = {"ok": True}  # type: Dict[str, Any]
            else:
                answer = desk.answer(asked)
        except Fail as fail:
            answer = told(fail)
        except (ValueError, RecursionError):
            answer = told(Fail("invalid", "request"))
        except Exception:  # its words could quote a file: they go no further
            answer = told(Fail("failed", "internal"))
        answer["n"] = number
        target.write(json.dumps(answer).encode("ascii") + b"\n")
        target.flush()
        if len(raw) > MAX_REQUEST:
            return
        while not select.select([source], [], [], 0)[0] and desk.ahead():
            pass


def refuse(reason: str) -> int:
    """One line, and out."""
    sys.stdout.write(json.dumps(told(Fail("bound", reason))) + "\n")
    return 3


def main(words: "List[str]") -> int:
    """`frameroom-helper [--config FILE] [--serve]`; the forced command of an SSH key, or what sudo starts for it."""
    config, serving = "/etc/frameroom-helper.json", words[-1:] == ["--serve"]
    words = words[:-1] if serving else words
    if len(words) == 2 and words[0] == "--config":
        config, words = os.path.abspath(words[1]), []
    if words == ["--version"]:
        sys.stdout.write("%s %d\n" % (COMMAND, VERSION))
        return 0
    if words:
        return refuse("words")
    # Whatever else was asked for over SSH was not done, and is not.
    if not serving and "SSH_CONNECTION" in os.environ and os.environ.get("SSH_ORIGINAL_COMMAND") != COMMAND:
        return refuse("forced-command")
    for one in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)  # a change that is begun comes to its end; then standard input has ended
    os.umask(0o077)
    try:
        conf = Conf(config)
        if conf.run_as and not serving:
            again = ["--config", config] if config != "/etc/frameroom-helper.json" else []
            sudo = ["sudo", "-n", "-u", conf.run_as, conf.python, "-I", os.path.abspath(__file__)]
            os.execve(  # noqa: S606 - one fixed program, no shell
                "/usr/bin/sudo", sudo + again + ["--serve"], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            )
        desk = Desk(conf)
        desk.recover()
        serve(desk)
    except Fail as fail:
        sys.stdout.write(json.dumps(told(fail)) + "\n")
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


if __name__ == "__main__":
    # A traceback would show lines of this file alone, and yet none is ever shown.
    sys.excepthook = lambda *_: None
    sys.exit(main(sys.argv[1:]))

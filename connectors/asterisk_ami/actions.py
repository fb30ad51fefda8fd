"""Everything that this connector can send to Asterisk's manager interface, by name, and the bytes of each.

What is not here cannot be sent: the link takes what `GUARD` let through, and `render` knows no other action. Files are
named here and nowhere else; a GetConfig without its filter, which would answer with every password, has no name; a
write always names its section by kind, in quotes, for Asterisk finds none without them.

Source: Asterisk 22, "AMI Actions"; limits: `AST_MAX_MANHEADERS`, and the 1,024 bytes that a line may have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Allowed, Check, Guard, Template, secret_like, text

MAX_HEADERS: Final = 128
MAX_LINE: Final = 1022
"""Bytes of a line without its end: more are not read whole by Asterisk."""
AUTHS_AT_ONCE: Final = 2
"""Password sections that one write reaches: more would be too many headers."""

FORMS: Final = (
    ("md5_cred", "password_digest", "auth_type"), ("md5_cred", "password_digest"), ("md5_cred", "auth_type"),
    ("md5_cred",), ("password_digest", "auth_type"), ("password_digest",), (),
)  # fmt: skip
"""Lines beside a password that a password section may have, most first: Asterisk does a request that names the lines
that are there, and no other. Digests go; `auth_type` is changed."""

_PEOPLE: Final = "pjsip.conf"
_WIZARDS: Final = "pjsip_wizard.conf"
_MAILBOXES: Final = "voicemail.conf"

SECTION: Final = text(80, pattern=r"[\w.@+*~/:'&-](?:[\w.@+*~/:'& -]*[\w.@+*~/:'&-])?")
CONTEXT: Final = text(79, pattern=r"[A-Za-z0-9_.-]+")
MAILBOX: Final = text(79, pattern=r"[A-Za-z0-9_.*#+-]+")
NAME: Final = text(80, pattern=r'[^"\\<>;,|#\s](?:[^"\\<>;,|]*[^"\\<>;,|\s])?')
_FULLNAME: Final = text(80, pattern=r'[^"\\<>;,|]*')
EMAIL: Final = text(80, pattern=r"(?:[^@\s,;<>\"|#\\][^@\s,;<>\"|\\]*@[^@\s,;<>\"|\\]+\.[^@\s,;<>\"|\\]+)?")
_CALLERID: Final = text(160, pattern=r'(?:"[^"\\<>;,]+"|[\w][\w .\'-]*) <[^<>";,\\]{0,79}>')
# What it was goes along so that Asterisk itself compares: never what it could read as anything but a value.
_WAS: Final = text(300, pattern=r"[^;\\#>\s](?:[^;\\]*[^;\\\s])?")
_OPTION: Final = text(140, pattern=r"[a-z]{2,16}=[^|,;\"\\<>]{1,120}")


def comparable(was: str) -> str:
    """What a caller id was, if Asterisk can be asked to compare with it; "" if it holds what must not be sent."""
    try:
        _WAS("the caller id", was)
    except InvalidValue:
        return ""
    return "" if "\ufffd" in was else was


class CallerId(NamedTuple):
    """One endpoint's caller id: `was` what it is compared with ("" for nothing), `how` many lines hold it."""

    section: str
    was: str
    becomes: str
    how: str
    """one: its line is changed; none: a line is added; several: they are taken away and one is added."""


def _sections(least: int, most: int) -> Check:
    def check(name: str, value: object) -> None:
        if not isinstance(value, tuple) or not least <= len(value) <= most:
            raise InvalidValue(f"{name} must be from {least} to {most} sections")
        for item in value:
            SECTION(name, item)

    return check


def _callerids(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not 1 <= len(value) <= 16:
        raise InvalidValue(f"{name} must be those of one person's devices, at most 16")
    for item in value:
        if not isinstance(item, CallerId) or item.how not in ("one", "none", "several"):
            raise InvalidValue(f"{name} must say what each was and what it becomes")
        SECTION(name, item.section)
        _CALLERID("the name", item.becomes)
        if item.was:
            _WAS("the caller id as it is", item.was)


def _forms(name: str, value: object) -> None:
    if value not in FORMS:
        raise InvalidValue(f"{name} must be lines that a password section may have")


def _options(name: str, value: object) -> None:
    if not isinstance(value, tuple) or len(value) > 32:
        raise InvalidValue(f"{name} holds what a line of voicemail.conf cannot")
    for item in value:
        _OPTION(name, item)


_BOX: Final = {"context": CONTEXT, "mailbox": MAILBOX}
# In the spool's place for a PIN is "-": the PIN itself is elsewhere.
_PIN: Final = secret_like(r"[0-9]{4,16}|-")

GUARD: Final = Guard(
    Template("login", False, {"login": text(79, pattern=r"[!-:<-~]+"), "secret": text(256, pattern=r".+")}),
    Template("ping", False),
    Template("logoff", False),
    Template("commands", False),
    Template("wizards", False),
    Template("endpoints", False),
    Template("endpoint", False, {"id": SECTION}),
    Template("mailboxes", False),
    Template("mailbox", False, _BOX),
    Template("contacts", False),
    Template("set-callerids", True, {"callerids": _callerids}),
    Template("set-secret", True, {"auths": _sections(1, AUTHS_AT_ONCE), "secret": secret_like(r"[A-Za-z0-9]{8,128}")}),
    Template("put-secret", True, {"auth": SECTION, "forms": _forms, "secret": secret_like(r"[A-Za-z0-9]{8,128}")}),
    Template(
        "remove-accounts", True,
        {"endpoints": _sections(1, 16), "auths": _sections(0, 16), "aors": _sections(0, 16)},
    ),
    Template(
        "set-mailbox", True,
        _BOX | {"pin": _PIN, "name": _FULLNAME, "email": EMAIL, "pager": EMAIL, "options": _options},
    ),
    Template("remove-mailbox", True, _BOX),
)  # fmt: skip

_READS: Final[Mapping[str, tuple[str, ...]]] = {
    "ping": ("Action: Ping",),
    "logoff": ("Action: Logoff",),
    "commands": ("Action: ListCommands",),
    "wizards": ("Action: ListCategories", f"Filename: {_WIZARDS}"),
    "endpoints": ("Action: GetConfig", f"Filename: {_PEOPLE}", "Filter: type=endpoint"),
    "endpoint": ("Action: GetConfig", f"Filename: {_PEOPLE}", "Filter: type=endpoint", "Category: {id}"),
    "mailboxes": ("Action: VoicemailUsersList",),
    "mailbox": ("Action: VoicemailUserStatus", "Context: {context}", "Mailbox: {mailbox}"),
    "contacts": ("Action: PJSIPShowContacts",),
    "login": ("Action: Login", "Username: {login}", "Secret: {secret}", "Events: off"),
}


class _Update:
    """One UpdateConfig: all of it is written, or none; nothing counts until the module is loaded again."""

    def __init__(self, file: str, module: str) -> None:
        self.lines = ["Action: UpdateConfig", f"SrcFilename: {file}", f"DstFilename: {file}", f"Reload: {module}"]
        self._count = 0

    def add(self, action: str, section: str, **more: str) -> None:
        """One change: `var`, `value`, `match`, and `kind` of the section."""
        number, kind = f"{self._count:06d}", more.pop("kind", None)
        self._count += 1
        self.lines += [f"Action-{number}: {action}", f"Cat-{number}: {section}"]
        self.lines += [f"{name.capitalize()}-{number}: {value}" for name, value in more.items()]
        if kind is not None:
            self.lines.append(f'Options-{number}: catfilter="type={kind}"')

    def replace(self, section: str, kind: str, var: str, value: str | None) -> None:
        """The one line of that name, whatever there was; None for no line. A delete of nothing would fail as a whole,
        so that a line is added first: what is deleted is every line of the name."""
        self.add("append", section, var=var, value="0", kind=kind)
        self.add("delete", section, var=var, kind=kind)
        if value is not None:
            self.add("append", section, var=var, value=value, kind=kind)


def _callerid_lines(callerids: Sequence[CallerId]) -> list[str]:
    update = _Update(_PEOPLE, "res_pjsip.so")
    for one in callerids:
        if one.how == "one" and one.was:
            # Asterisk compares with what we were shown, and writes nothing when it is another by now.
            update.add("update", one.section, var="callerid", value=one.becomes, match=one.was, kind="endpoint")
        elif one.how == "one":
            update.add("update", one.section, var="callerid", value=one.becomes, kind="endpoint")
        elif one.how == "none":
            update.add("append", one.section, var="callerid", value=one.becomes, kind="endpoint")
        else:
            update.replace(one.section, "endpoint", "callerid", one.becomes)
    return update.lines


def _secret_lines(values: Mapping[str, Any]) -> list[str]:
    """A digest left beside a new password would keep the old one working: none stays, in the same request."""
    update = _Update(_PEOPLE, "res_pjsip.so")
    for auth in values["auths"]:
        update.replace(auth, "auth", "md5_cred", None)
        update.replace(auth, "auth", "password_digest", None)
        update.replace(auth, "auth", "password", values["secret"])
        update.replace(auth, "auth", "auth_type", "userpass")
    return update.lines


def _put_lines(values: Mapping[str, Any]) -> list[str]:
    """The password's own line changed, and no line added: an added one would go into pjsip.conf itself, wherever the
    section stands, and there into whichever section is last."""
    update, auth = _Update(_PEOPLE, "res_pjsip.so"), values["auth"]
    for form in values["forms"]:
        if form == "auth_type":
            update.add("update", auth, var=form, value="userpass", kind="auth")
        else:
            update.add("delete", auth, var=form, kind="auth")
    update.add("update", auth, var="password", value=values["secret"], kind="auth")
    return update.lines


def _removal_lines(values: Mapping[str, Any]) -> list[str]:
    update = _Update(_PEOPLE, "res_pjsip.so")
    for field, kind in (("endpoints", "endpoint"), ("auths", "auth"), ("aors", "aor")):
        for section in values[field]:
            update.add("delcat", section, kind=kind)
    return update.lines


def _mailbox_lines(name: str, values: Mapping[str, Any]) -> list[str]:
    update = _Update(_MAILBOXES, "app_voicemail.so")
    if name == "remove-mailbox":
        update.add("delete", values["context"], var=values["mailbox"])
        return update.lines
    fields = [values[field] for field in ("pin", "name", "email", "pager")] + ["|".join(values["options"])]
    update.add("update", values["context"], var=values["mailbox"], value=",".join(fields).rstrip(","))
    return update.lines


def _templates() -> Mapping[str, str]:
    """Each read as one text with places for its values: a show is two of them, made for every one that is asked."""
    made = {name: "\r\n".join((lines[0], "ActionID: {0}", *lines[1:], "", "")) for name, lines in _READS.items()}
    return MappingProxyType(made)


_TEXTS: Final = _templates()


def render(request: Allowed, action_id: str) -> bytes:
    """The bytes of a request. RequestNotAllowed for what this guard did not let through; InvalidValue if too long."""
    request = GUARD.require(request)
    template = _TEXTS.get(request.name)
    if template is not None:
        data = template.format(action_id, **request.values).encode()
        if len(data) > MAX_LINE:
            _fits(data.split(b"\r\n"))
        return data
    match request.name:
        case "set-callerids":
            lines = _callerid_lines(request.values["callerids"])
        case "set-secret":
            lines = _secret_lines(request.values)
        case "put-secret":
            lines = _put_lines(request.values)
        case "remove-accounts":
            lines = _removal_lines(request.values)
        case "set-mailbox" | "remove-mailbox" as name:
            lines = _mailbox_lines(name, request.values)
        case _:
            raise RequestNotAllowed("there are no bytes for that request")
    lines.insert(1, f"ActionID: {action_id}")
    made = [line.encode() for line in lines]
    _fits(made)
    return b"\r\n".join(made) + b"\r\n\r\n"


def _fits(lines: Sequence[bytes]) -> None:
    if len(lines) > MAX_HEADERS or any(len(line) > MAX_LINE for line in lines):
        raise InvalidValue("that is more than Asterisk takes in one request; nothing was sent")

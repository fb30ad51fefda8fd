"""Everything that this connector can send, to the database and to the event socket: checked here, below the connector.

The SQL of each is in `statements`, the event socket's words in `event_socket`. What is not here cannot be sent.
"""

from __future__ import annotations

import re
from typing import Final

from connectors.console import FREESWITCH, Class, only
from connectors.errors import InvalidValue
from connectors.fusionpbx import dialplan
from connectors.guard import Check, Guard, Template, listed, number, optional, secret_like, text
from connectors.transport.postgres_role import TEMPLATES

MAX_PAGE: Final = 500
NAME_LENGTH: Final = 80
_ID: Final = text(36, pattern=r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS: Final = listed(_ID, 64)
_EXTENSIONS: Final = listed(text(60), 2)
# Neither what ends an attribute or a variable of FreeSWITCH's nor what begins an expansion there.
_NAME: Final = text(NAME_LENGTH, pattern=r"""[^"\\<>{}$\s](?:[^"\\<>{}$]*[^"\\<>{}$\s])?""")
_EMAIL: Final = text(80, pattern=r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\"]+")
_E164: Final = text(16, pattern=r"\+[1-9][0-9]{5,14}")
_DIGITS: Final = text(20, pattern=r"\+?[0-9]{3,19}")
_DIGITS_OR_LESS: Final = text(4, pattern=r"[0-9]{1,4}")
_TARGET: Final = r"[A-Za-z0-9*#+_.-]{1,60}"
_CONTEXT: Final = text(253, pattern=r"[A-Za-z0-9._@-]{1,253}")
_REGEX: Final = text(200, pattern=r"[0-9^$|()+?:\\]{5,200}")
KEY: Final = (
    r"directory:[A-Za-z0-9*#+_-][A-Za-z0-9*#+_.-]{0,59}@[A-Za-z0-9][A-Za-z0-9._-]{0,252}"
    r"|dialplan:[A-Za-z0-9][A-Za-z0-9._@-]{0,79}(?::\+?[0-9]{1,20})?"
)
"""A key of FreeSWITCH's cache. In a file cache it is a file's name: it holds no stroke and begins with no dot."""
_KEY: Final = text(330, pattern=KEY)
_SOCKET_USER: Final = text(320, pattern=r"[A-Za-z0-9._-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


def _password_hash(name: str, value: object) -> None:
    # PHP's password_hash with PASSWORD_BCRYPT; its cost as FusionPBX has it (core/users/user_edit.php).
    if not isinstance(value, str) or not re.fullmatch(r"\$2y\$1[0-4]\$[./A-Za-z0-9]{53}", value):
        raise InvalidValue(f"{name} is no hash that FusionPBX takes")


_PIN: Final = secret_like(r"[0-9]{4,20}")  # check_password.lua takes two to twenty digits
_SOCKET_SECRET: Final = secret_like(r"[!-~]{1,200}")  # it stands alone on its line, which FreeSWITCH reads to its end
# It stands in XML, in FreeSWITCH's variables and in telephones' settings as it is.
_SIP_PASSWORD: Final = secret_like(r"[A-Za-z0-9_.-]{8,64}")
_DOMAIN: Final[dict[str, Check]] = {"domain": _ID}
_ONE: Final = _DOMAIN | {"id": _ID}
_BOX: Final = _DOMAIN | {"box": _ID}
_USER: Final = _DOMAIN | {"user": _ID}
_ROUTE: Final = _DOMAIN | {"destination": _ID, "dialplan": _ID, "number": _DIGITS, "regex": _REGEX}
_DIALPLAN: Final = _DOMAIN | {"dialplan": _ID}

GUARD: Final = Guard(
    *TEMPLATES,
    Template("domain", False, {"name": text(253)}),
    Template("other-domains", False, _DOMAIN),
    Template("people", False, _ONE | {"after": text(2000, pattern=r"(?:[0-9a-f]{2})*"), "limit": number(1, MAX_PAGE)}),
    Template("find", False, _DOMAIN | {"words": listed(text(200), 16), "limit": number(1, MAX_PAGE)}),
    Template("view", False, _ONE),
    Template("own", False, _ONE),
    Template("lock-own", False, _ONE),
    Template("sharers", False, _ONE | {"extensions": _EXTENSIONS}),
    Template("boxes", False, _DOMAIN | {"extensions": _EXTENSIONS}),
    Template("lock-boxes", False, _DOMAIN | {"extensions": _EXTENSIONS}),
    Template("users", False, _ONE),
    Template("lock-users", False, _ONE),
    Template("routes", False, _DOMAIN | {"extensions": _EXTENSIONS}),
    Template("lock-routes", False, _DOMAIN | {"extensions": _EXTENSIONS}),
    Template("number-owner", False, {"number": _E164, "ids": _IDS}),
    Template("address-owner", False, _USER | {"email": _EMAIL}),
    Template("set-name", True, _ONE | {"name": _NAME}),
    Template("set-directory", True, _ONE | {"first": _NAME, "last": optional(_NAME)}),
    Template("set-mail", True, _BOX | {"email": optional(_EMAIL)}),
    Template("set-user-email", True, _USER | {"email": optional(_EMAIL)}),
    Template("set-pin", True, _BOX | {"secret": _PIN}),
    Template("set-sip", True, _ONE | {"secret": _SIP_PASSWORD}),
    Template("set-lines", True, _DOMAIN | {"name": text(253), "extension": text(60), "secret": _SIP_PASSWORD}),
    Template("set-portal", True, _USER | {"hash": _password_hash}),
    Template("move-route", True, _ROUTE | {"prefix": optional(_DIGITS_OR_LESS), "trunk": optional(_DIGITS_OR_LESS)}),
    Template(
        "insert-route", True, _ROUTE | {
            "prefix": optional(_DIGITS_OR_LESS), "context": _CONTEXT, "extension": text(60, pattern=_TARGET),
            "to": _CONTEXT,
        },
    ),
    Template("set-dialplan", True, _DIALPLAN | {"number": _DIGITS, "lines": listed(dialplan.line, 40)}),
    Template(
        "insert-dialplan", True,
        _DIALPLAN | {"number": _DIGITS, "context": _CONTEXT, "lines": listed(dialplan.line, 40)},
    ),
    Template("insert-details", True, _DIALPLAN | {"details": listed(dialplan.detail, 40)}),
    Template("clear-details", True, _DIALPLAN),
    Template("delete-details", True, _DOMAIN | {"dialplans": _IDS}),
    Template("delete-dialplans", True, _DOMAIN | {"dialplans": _IDS}),
    Template("delete-routes", True, _DOMAIN | {"destinations": _IDS}),
    Template("delete-extension", True, _ONE),
    Template("delete-extension-users", True, _ONE),
    Template("delete-extension-settings", True, _ONE),
    Template("delete-follow-me", True, _DOMAIN | {"follow_me": _ID}),
    Template("delete-follow-me-destinations", True, _DOMAIN | {"follow_me": _ID}),
    Template("delete-ring-group-destinations", True, _DOMAIN | {"extensions": _EXTENSIONS}),
    Template("delete-box", True, _BOX),
    Template("delete-box-messages", True, _BOX),
    Template("delete-box-options", True, _BOX),
    Template("delete-box-destinations", True, _BOX),
    Template("delete-box-greetings", True, _DOMAIN | {"extension": text(60)}),
    Template("delete-user", True, _USER),
    Template("delete-user-groups", True, _USER),
    Template("delete-user-settings", True, _USER),
    Template("event-socket-auth", False, {"secret": _SOCKET_SECRET}),
    Template("event-socket-userauth", False, {"user": _SOCKET_USER, "secret": _SOCKET_SECRET}),
    Template("look", False, {"line": only(FREESWITCH, Class.LOOK)}),
    Template("act", True, {"line": only(FREESWITCH, Class.ACT)}),
    Template("flush-file", True, {"key": _KEY}),
    Template("flush-memcache", True, {"key": _KEY}),
)  # fmt: skip

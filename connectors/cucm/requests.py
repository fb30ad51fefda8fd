"""Everything that this connector can send to a Unified Communications Manager and to Unity Connection, by name.

What is not here cannot be sent: the transport takes what `GUARD` let through, and `render` knows no other request. Each
read names the fields that it wants, so that none is answered with a password; each write has fixed fields. There is
no executeSQLQuery, no executeSQLUpdate, no getUser without `returnedTags`, no read of a credential.

Values stand in fixed XML as escaped text and nowhere else. Why no SOAP library: docs/design.md.
Sources: Cisco's AXLSoap.xsd, 8.5 to 14.0 (github.com/CiscoDevNet/axl-python-zeep-samples, levensailor/ciscoaxl); Cisco
Unity Connection Provisioning Interface (CUPI), "Users", "User Password PIN Settings".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from typing import Any, Final
from urllib.parse import quote

from connectors.cucm.settings import VERSIONS
from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Allowed, Check, Guard, Template, number, optional, secret_like, text
from connectors.transport.web import Call

MOST_A_PAGE: Final = 1_000
NAMESPACE: Final = "http://www.cisco.com/AXL/API/"
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
XML_TYPES: Final = ("text/xml", "application/xml")
_AXL: Final = "/axl/"
_NOT_XML: Final = re.compile("[\ufffe\uffff]")


def _xml(inner: Check) -> Check:
    """What `inner` takes, unless no XML can hold it."""

    def check(name: str, value: object) -> None:
        inner(name, value)
        if isinstance(value, str) and _NOT_XML.search(value):
            raise InvalidValue(f"{name} holds what is no character")

    return check


def _version(name: str, value: object) -> None:
    if value not in VERSIONS:
        raise InvalidValue(f"{name} is no version that is spoken here")


# No %, *, ? or brackets: what stands for others in some searches stands for nobody in any of ours.
USERID: Final = _xml(text(128, pattern=r"[^\s%*?\[\]\\<>\"()](?:[^%*?\[\]\\<>\"()]*[^\s%*?\[\]\\<>\"()])?"))
NAME_PART: Final = _xml(text(64, pattern=r"(?:[^\s<>\"](?:[^<>\"]*[^\s<>\"])?)?"))
DISPLAY_NAME: Final = _xml(text(129, pattern=r"(?:[^\s<>\"](?:[^<>\"]*[^\s<>\"])?)?"))
EMAIL: Final = _xml(text(255, pattern=r"(?:[^@\s,;<>\"\\]+@[^@\s,;<>\"\\]+\.[^@\s,;<>\"\\]+)?"))
NUMBER: Final = text(24, pattern=r"(?:\+[1-9][0-9]{5,14})?")
# {........-....-....-....-............} in Cisco's schema; what stands in it is hexadecimal.
UUID: Final = text(38, pattern=r"\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}")
OBJECT_ID: Final = text(36, pattern=r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PIN: Final = secret_like(r"[0-9]{4,20}")
_PASSWORD: Final = secret_like(r"[A-Za-z0-9]{8,64}")

_AXL_FIELDS: Final = {"axl": _version}
_ONE: Final = _AXL_FIELDS | {"uuid": UUID}

GUARD: Final = Guard(
    Template("version", False, _AXL_FIELDS),
    Template("users", False, _AXL_FIELDS | {"skip": number(0, 10_000_000), "first": number(1, MOST_A_PAGE + 2)}),
    Template("user", False, _AXL_FIELDS | {"userid": USERID}),
    Template("user-devices", False, _AXL_FIELDS | {"userid": USERID}),
    Template(
        "set-person", True,
        _ONE | {
            "first_name": optional(NAME_PART), "display_name": optional(DISPLAY_NAME), "last_name": optional(NAME_PART),
            "email": optional(EMAIL), "telephone_number": optional(NUMBER),
        },
    ),
    Template("set-password", True, _ONE | {"secret": _PASSWORD}),
    Template("set-pin", True, _ONE | {"secret": _PIN}),
    Template("set-digest", True, _ONE | {"secret": _PASSWORD}),
    Template("remove-user", True, _ONE),
    Template("mailboxes", False),
    Template("mailbox", False, {"alias": USERID}),
    Template("set-mailbox-pin", True, {"mailbox": OBJECT_ID, "secret": _PIN}),
)  # fmt: skip


@cache
def since(axl: str, first: str) -> bool:
    """Whether that schema has what came with the schema `first`."""
    return float(axl) >= float(first)


def _element(name: str, value: str | None) -> str:
    return "" if value is None else f"<{name}>{escape(value, quote=False)}</{name}>"


def _version_body(_: Mapping[str, Any]) -> str:
    return ""


def _numbers(axl: str, mail: str, between: str, telephone: str) -> str:
    """The order of a sequence counts, and schema 10.0 moved telephoneNumber."""
    return mail + between + telephone if since(axl, "10.0") else telephone + mail + between


_EXTENSION: Final = "<primaryExtension><pattern/></primaryExtension>"


def _users_body(values: Mapping[str, Any]) -> str:
    return (
        "<searchCriteria><userid>%</userid></searchCriteria><returnedTags><firstName/><lastName/><userid/>"
        f"{_numbers(values['axl'], '<mailid/>', _EXTENSION, '<telephoneNumber/>')}</returnedTags>"
        f"<skip>{values['skip']}</skip><first>{values['first']}</first>"
    )


def _user_body(values: Mapping[str, Any]) -> str:
    axl = values["axl"]
    display = "<displayName/>" if since(axl, "11.0") else ""
    directory = "<ldapDirectoryName/>" if since(axl, "10.0") else ""
    return (
        f"{_element('userid', values['userid'])}<returnedTags><firstName/>{display}<lastName/><userid/>"
        f"{_numbers(axl, '<mailid/>', _EXTENSION, '<telephoneNumber/>')}{directory}</returnedTags>"
    )


def _devices_body(values: Mapping[str, Any]) -> str:
    return (
        f"{_element('userid', values['userid'])}<returnedTags><userid/>"
        "<associatedDevices><device/></associatedDevices></returnedTags>"
    )


def _person_body(values: Mapping[str, Any]) -> str:
    """In the order of UpdateUserReq, which is a sequence."""
    if values["display_name"] is not None and not since(values["axl"], "11.0"):
        raise RequestNotAllowed("that schema has no displayName")
    names = (("firstName", "first_name"), ("displayName", "display_name"), ("lastName", "last_name"))
    mail, telephone = _element("mailid", values["email"]), _element("telephoneNumber", values["telephone_number"])
    return (
        _element("uuid", values["uuid"])
        + "".join(_element(tag, values[field]) for tag, field in names)
        + _numbers(values["axl"], mail, "", telephone)
    )


def _password_body(values: Mapping[str, Any]) -> str:
    unlock = "<pwdResetHackCount>true</pwdResetHackCount>" if since(values["axl"], "11.0") else ""
    return (
        f"{_element('uuid', values['uuid'])}{_element('password', values['secret'])}<passwordCredentials>"
        f"<pwdCredUserMustChange>true</pwdCredUserMustChange>{unlock}</passwordCredentials>"
    )


def _pin_body(values: Mapping[str, Any]) -> str:
    unlock = "<pinResetHackCount>true</pinResetHackCount>" if since(values["axl"], "11.0") else ""
    return (
        f"{_element('uuid', values['uuid'])}{_element('pin', values['secret'])}<pinCredentials>"
        f"<pinCredUserMustChange>true</pinCredUserMustChange>{unlock}</pinCredentials>"
    )


def _digest_body(values: Mapping[str, Any]) -> str:
    return _element("uuid", values["uuid"]) + _element("digestCredentials", values["secret"])


def _remove_body(values: Mapping[str, Any]) -> str:
    return _element("uuid", values["uuid"])


_OPERATIONS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]]] = {
    "version": ("getCCMVersion", _version_body),
    "users": ("listUser", _users_body),
    "user": ("getUser", _user_body),
    "user-devices": ("getUser", _devices_body),
    "set-person": ("updateUser", _person_body),
    "set-password": ("updateUser", _password_body),
    "set-pin": ("updateUser", _pin_body),
    "set-digest": ("updateUser", _digest_body),
    "remove-user": ("removeUser", _remove_body),
}


def operation(name: str) -> str:
    """What AXL calls the request of that name."""
    return _OPERATIONS[name][0]


def _soap(request: Allowed, authorization: Mapping[str, str]) -> Call:
    called, body = _OPERATIONS[request.name]
    axl = request.values["axl"]
    envelope = (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{SOAP}" '
        f'xmlns:ns="{NAMESPACE}{axl}"><soapenv:Header/><soapenv:Body>'
        f"<ns:{called}>{body(request.values)}</ns:{called}></soapenv:Body></soapenv:Envelope>"
    )
    headers = {
        **authorization,
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"CUCM:DB ver={axl} {called}"',
    }
    return Call("POST", _AXL, headers, envelope.encode(), XML_TYPES)


def _cupi(request: Allowed, authorization: Mapping[str, str]) -> Call:
    match request.name:
        case "mailboxes":
            return Call("GET", "/vmrest/users?rowsPerPage=0", authorization, None, XML_TYPES)
        case "mailbox":
            asked = quote(f"(alias is {request.values['alias']})", safe="()")
            return Call("GET", f"/vmrest/users?query={asked}", authorization, None, XML_TYPES)
        case "set-mailbox-pin":
            body = (
                '<?xml version="1.0" encoding="UTF-8"?><Credential>'
                f"{_element('Credentials', request.values['secret'])}<CredMustChange>true</CredMustChange>"
                "<HackCount>0</HackCount><TimeHacked></TimeHacked></Credential>"
            )
            path = f"/vmrest/users/{request.values['mailbox']}/credential/pin"
            return Call("PUT", path, {**authorization, "Content-Type": "application/xml"}, body.encode(), XML_TYPES)
        case _:
            raise RequestNotAllowed("there are no bytes for that request")


def render(request: Allowed, token: str) -> Call:
    """One request as HTTP; `token` is the account in base64 (RFC 7617). RequestNotAllowed past the guard."""
    request = GUARD.require(request)
    authorization = {"Authorization": f"Basic {token}"} if token else {}
    return (_soap if request.name in _OPERATIONS else _cupi)(request, authorization)

"""Each request to a Unified Communications Manager and to Unity Connection as it goes out, written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.cucm.requests import GUARD, operation, render
from connectors.cucm.settings import VERSIONS
from connectors.errors import InvalidValue, RequestNotAllowed

UUID = "{0F889E5C-B277-4FE8-9749-932BC27D2401}"
OBJECT = "0f889e5c-b277-4fe8-9749-932bc27d2401"
_ASKED = "<primaryExtension><pattern/></primaryExtension>"
_USER = "<userid>grace</userid><returnedTags><firstName/>"
_EVERYONE = "<searchCriteria><userid>%</userid></searchCriteria><returnedTags><firstName/><lastName/><userid/>"
_NAME = "<firstName>Zoë</firstName>"
_MAIL, _PHONE = "<mailid>z@x.example</mailid>", "<telephoneNumber>+442079460123</telephoneNumber>"
_PERSON: dict[str, Any] = {
    "uuid": UUID, "first_name": "Zoë", "last_name": "O&M", "email": "z@x.example", "telephone_number": "+442079460123",
}  # fmt: skip
_SECRET = "Kx7mQ2vTz9Lp"

BODIES: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("version", "14.0", {}, "getCCMVersion", ""),
    ("users", "14.0", {"skip": 5, "first": 7}, "listUser",
     f"{_EVERYONE}<mailid/>{_ASKED}<telephoneNumber/></returnedTags><skip>5</skip><first>7</first>"),
    ("users", "10.0", {"skip": 5, "first": 7}, "listUser",
     f"{_EVERYONE}<mailid/>{_ASKED}<telephoneNumber/></returnedTags><skip>5</skip><first>7</first>"),
    ("users", "9.1", {"skip": 0, "first": 1}, "listUser",
     f"{_EVERYONE}<telephoneNumber/><mailid/>{_ASKED}</returnedTags><skip>0</skip><first>1</first>"),
    ("user", "14.0", {"userid": "grace"}, "getUser",
     f"{_USER}<displayName/><lastName/><userid/><mailid/>{_ASKED}<telephoneNumber/><ldapDirectoryName/></returnedTags>"),
    ("user", "11.0", {"userid": "grace"}, "getUser",
     f"{_USER}<displayName/><lastName/><userid/><mailid/>{_ASKED}<telephoneNumber/><ldapDirectoryName/></returnedTags>"),
    ("user", "10.0", {"userid": "grace"}, "getUser",
     f"{_USER}<lastName/><userid/><mailid/>{_ASKED}<telephoneNumber/><ldapDirectoryName/></returnedTags>"),
    ("user", "8.5", {"userid": "grace"}, "getUser",
     f"{_USER}<lastName/><userid/><telephoneNumber/><mailid/>{_ASKED}</returnedTags>"),
    ("user-devices", "14.0", {"userid": "grace"}, "getUser",
     "<userid>grace</userid><returnedTags><userid/><associatedDevices><device/></associatedDevices></returnedTags>"),
    ("set-person", "14.0", _PERSON | {"display_name": "Zoë's"}, "updateUser",
     f"<uuid>{UUID}</uuid>{_NAME}<displayName>Zoë's</displayName><lastName>O&amp;M</lastName>{_MAIL}{_PHONE}"),
    ("set-person", "9.1", _PERSON | {"display_name": None}, "updateUser",
     f"<uuid>{UUID}</uuid>{_NAME}<lastName>O&amp;M</lastName>{_PHONE}{_MAIL}"),
    ("set-password", "14.0", {"uuid": UUID, "secret": _SECRET}, "updateUser",
     f"<uuid>{UUID}</uuid><password>{_SECRET}</password><passwordCredentials>"
     "<pwdCredUserMustChange>true</pwdCredUserMustChange><pwdResetHackCount>true</pwdResetHackCount>"
     "</passwordCredentials>"),
    ("set-password", "10.5", {"uuid": UUID, "secret": _SECRET}, "updateUser",
     f"<uuid>{UUID}</uuid><password>{_SECRET}</password><passwordCredentials>"
     "<pwdCredUserMustChange>true</pwdCredUserMustChange></passwordCredentials>"),
    ("set-pin", "11.0", {"uuid": UUID, "secret": "493817"}, "updateUser",
     f"<uuid>{UUID}</uuid><pin>493817</pin><pinCredentials><pinCredUserMustChange>true</pinCredUserMustChange>"
     "<pinResetHackCount>true</pinResetHackCount></pinCredentials>"),
    ("set-pin", "10.5", {"uuid": UUID, "secret": "493817"}, "updateUser",
     f"<uuid>{UUID}</uuid><pin>493817</pin><pinCredentials><pinCredUserMustChange>true</pinCredUserMustChange>"
     "</pinCredentials>"),
    ("set-digest", "14.0", {"uuid": UUID, "secret": _SECRET}, "updateUser",
     f"<uuid>{UUID}</uuid><digestCredentials>{_SECRET}</digestCredentials>"),
    ("remove-user", "14.0", {"uuid": UUID}, "removeUser", f"<uuid>{UUID}</uuid>"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "axl", "values", "called", "inner"), BODIES)
def test_each_request_of_axl(name: str, axl: str, values: dict[str, Any], called: str, inner: str) -> None:
    call = render(GUARD.render(name, axl=axl, **values), "dG9rZW4=")
    assert (call.method, call.path, call.takes) == ("POST", "/axl/", ("text/xml", "application/xml"))
    assert call.headers == {
        "Authorization": "Basic dG9rZW4=", "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"CUCM:DB ver={axl} {called}"',
    }  # fmt: skip
    assert (call.body or b"").decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:ns="http://www.cisco.com/AXL/API/{axl}"><soapenv:Header/><soapenv:Body>'
        f"<ns:{called}>{inner}</ns:{called}></soapenv:Body></soapenv:Envelope>"
    )
    assert operation(name) == called


def test_every_request_of_axl_is_among_them() -> None:
    assert {name for name, *_ in BODIES} == GUARD.names() - {"mailboxes", "mailbox", "set-mailbox-pin"}
    assert {"8.5", "9.1", "10.0", "10.5", "11.0", "14.0"} <= set(VERSIONS)


def test_each_request_of_unity_connection() -> None:
    pin = render(GUARD.render("set-mailbox-pin", mailbox=OBJECT, secret="493817"), "dG9rZW4=")
    assert (pin.method, pin.path) == ("PUT", f"/vmrest/users/{OBJECT}/credential/pin")
    assert pin.headers == {"Authorization": "Basic dG9rZW4=", "Content-Type": "application/xml"}
    assert (pin.body or b"").decode() == (
        '<?xml version="1.0" encoding="UTF-8"?><Credential><Credentials>493817</Credentials>'
        "<CredMustChange>true</CredMustChange><HackCount>0</HackCount><TimeHacked></TimeHacked></Credential>"
    )
    for name, values, path in (
        ("mailboxes", {}, "/vmrest/users?rowsPerPage=0"),
        ("mailbox", {"alias": "o'neil é"}, "/vmrest/users?query=(alias%20is%20o%27neil%20%C3%A9)"),
    ):
        call = render(GUARD.render(name, **values), "dG9rZW4=")
        assert (call.method, call.path, call.body) == ("GET", path, None)
        assert call.headers == {"Authorization": "Basic dG9rZW4="}
        assert call.takes == pin.takes == ("text/xml", "application/xml")


def test_before_there_is_an_account_none_is_told() -> None:
    assert render(GUARD.render("mailboxes"), "").headers == {}


def test_a_name_that_the_schema_does_not_have_is_not_sent_to_it() -> None:
    for axl, name in (("10.5", "Zoë"), ("8.5", "")):
        with pytest.raises(RequestNotAllowed):
            render(GUARD.render("set-person", axl=axl, **_PERSON, display_name=name), "t")


@pytest.mark.parametrize(
    ("field", "taken", "refused"),
    [
        ("first_name", ["", "A", "A" * 64, "A b"], ["A" * 65, " A", "A ", "<A", 'A"', "A\ufffe", "A\n"]),
        ("last_name", ["", "B" * 64], ["B" * 65, "B>"]),
        ("display_name", ["", "A", "A" * 129], ["A" * 130, " A", "A ", "<A", 'A"', "\uffff"]),
        ("email", ["", "a@b.cd", "a" * 249 + "@bc.de"],
         ["a" * 250 + "@bc.de", "a@b", "a b@c.de", "a@b.cd,e@f.gh", "a@b.cd;e", "<a@b.cd>", "@b.cd"]),
        ("telephone_number", ["", "+123456", "+" + "1" * 15],
         ["+12345", "+" + "1" * 16, "+0123456", "0123456", "+123456 ", "*"]),
        ("uuid", [UUID], [UUID + "}", UUID[:-2] + "}", UUID.replace("{", "(")]),
    ],
)  # fmt: skip
def test_a_value_of_a_person_just_within_is_taken_and_one_just_beyond_is_not(
    field: str, taken: list[str], refused: list[str]
) -> None:
    usual = _PERSON | {"axl": "14.0", "display_name": None}
    for value in taken:
        assert GUARD.render("set-person", **usual | {field: value}).values[field] == value
    for value in refused:
        with pytest.raises(InvalidValue):
            GUARD.render("set-person", **usual | {field: value})

"""What can be sent, whatever the connector's code does: fixed requests, values as text, no question for a secret."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cucm.requests import GUARD, render
from connectors.cucm.settings import VERSIONS
from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Guard, Template
from connectors.transport.web import Call
from tests.connectors.cucm.bench import CucmBench
from tests.support.cucm import schema

SECRETS = {
    "password", "pin", "digestCredentials", "mlppPassword", "attendeesAccessCode", "passwordCredentials",
    "pinCredentials", "Credentials", "credential",
}  # fmt: skip
OPERATIONS = {"getCCMVersion", "listUser", "getUser", "updateUser", "removeUser"}
FORBIDDEN = (
    "executeSQLQuery",
    "executeSQLUpdate",
    "getAppUser",
    "listAppUser",
    "doAuthenticateUser",
    "getCredentialPolicy",
)
_WRITES = {"set-password", "set-pin", "set-digest", "set-mailbox-pin"}


def sent(name: str, **values: Any) -> Call:
    return render(GUARD.render(name, **values), "dG9rZW4=")


def body(call: Call) -> ET.Element:
    """The one element in the SOAP body."""
    assert call.body is not None
    (found,) = ET.fromstring(call.body).findall(f"{{{schema.SOAP}}}Body/*")  # noqa: S314  our own request
    return found


def text(limit: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=("Cs",)), max_size=limit) | st.sampled_from(
        [
            "</userid><sql>select 1</sql>",
            "]]>",
            "&#60;",
            "<!--",
            "a&b",
            "%",
            "{x}",
            "%(x)s",
            "a\r\nSOAPAction: x",
            "\ufffe",
        ]
    )


@pytest.mark.parametrize("axl", VERSIONS)
@pytest.mark.parametrize("name", sorted(GUARD.names()))
def test_no_look_names_a_secret_and_every_look_says_what_it_wants(name: str, axl: str) -> None:
    values = dict(CucmBench.examples[name])
    if "axl" in values:
        values["axl"] = axl
    call = sent(name, **values)
    assert not any(word in (call.body or b"").decode() for word in FORBIDDEN)
    if not call.path.startswith("/axl/"):
        return
    asked = body(call)
    called = asked.tag.rpartition("}")[2]
    assert called in OPERATIONS
    assert asked.tag == f"{{{schema.AXL}{axl}}}{called}"
    assert call.headers["SOAPAction"] == f'"CUCM:DB ver={axl} {called}"'
    named = {one.tag for one in asked.iter()}
    if not GUARD.writes(name):
        assert not named & SECRETS
        if called in ("listUser", "getUser"):
            wanted = asked.find("returnedTags")
            assert wanted is not None
            assert len(wanted) >= 2, "asked for nothing, it would answer with everything"
    elif name not in _WRITES:
        assert not named & SECRETS


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_value_is_text_in_its_place_or_is_not_sent_at_all(data: st.DataObject) -> None:
    axl = data.draw(st.sampled_from(VERSIONS))
    new = float(axl) >= 11
    values = {
        "first_name": data.draw(st.none() | text(70)), "last_name": data.draw(st.none() | text(70)),
        "display_name": data.draw(st.none() | text(70)) if new else None, "email": data.draw(st.none() | text(40)),
        "telephone_number": data.draw(st.none() | text(20)),
    }  # fmt: skip
    try:
        call = sent("set-person", axl=axl, uuid=data.draw(st.sampled_from([UUID, "{x}", "", "' or 1"])), **values)
    except InvalidValue as error:
        assert all(not value or len(value) < 4 or value not in str(error) for value in values.values())
        return
    tags = {
        "first_name": "firstName", "last_name": "lastName", "display_name": "displayName", "email": "mailid",
        "telephone_number": "telephoneNumber",
    }  # fmt: skip
    asked = body(call)
    assert {one.tag: one.text or "" for one in asked} == {
        "uuid": UUID, **{tags[key]: value for key, value in values.items() if value is not None},
    }  # fmt: skip
    assert not [one for one in asked.iter() if len(one) and one is not asked]


UUID = "{0F889E5C-B277-4FE8-9749-932BC27D2401}"


@settings(max_examples=300, deadline=None)
@given(userid=text(140))
def test_a_user_id_stays_one_whether_in_xml_or_in_an_address(userid: str) -> None:
    try:
        call, mailbox = sent("user", axl="14.0", userid=userid), sent("mailbox", alias=userid)
    except InvalidValue as error:
        assert len(userid) < 4 or userid not in str(error)
        return
    assert body(call).findtext("userid") == userid
    assert re.fullmatch(r"/vmrest/users\?query=\(alias%20is%20[A-Za-z0-9%._~()-]+\)", mailbox.path)
    assert mailbox.path.count("(") == mailbox.path.count(")") == 1
    assert mailbox.path.isascii()


@given(name=st.text(max_size=30) | st.sampled_from([*FORBIDDEN, "getUser", "sql", "user ", "USER", "updateUser"]))
def test_a_request_that_is_not_on_the_list_cannot_be_made(name: str) -> None:
    if name not in GUARD.names():
        with pytest.raises(RequestNotAllowed):
            GUARD.render(name, sql="select * from enduser")


def test_a_request_of_another_guard_has_no_bytes() -> None:
    other = Guard(Template("user", False, {}), Template("executeSQLQuery", False, {}))
    for name in ("user", "executeSQLQuery"):
        with pytest.raises(RequestNotAllowed):
            render(other.render(name), "t")


@pytest.mark.parametrize("axl", ["15.0", "1.0", "14.0 executeSQLQuery", '14.0"', "", None, 14.0])
def test_a_version_that_is_not_known_is_not_spoken(axl: object) -> None:
    with pytest.raises(InvalidValue):
        GUARD.render("version", axl=axl)


@pytest.mark.parametrize("name", sorted(_WRITES))
@pytest.mark.parametrize("secret", ["", "1", "a b", "<pin>", "12345678&", "пароль12", "1" * 200, None, 12345678])
def test_a_secret_of_another_form_is_not_sent_and_not_told(name: str, secret: object) -> None:
    values = {**CucmBench.examples[name], "secret": secret}
    with pytest.raises(InvalidValue) as caught:
        GUARD.render(name, **values)
    assert not isinstance(secret, str) or len(secret) < 4 or secret not in str(caught.value)


def test_the_account_is_in_a_header_and_nowhere_else() -> None:
    for name, values in CucmBench.examples.items():
        call = sent(name, **values)
        assert call.headers["Authorization"] == "Basic dG9rZW4="
        assert "dG9rZW4=" not in call.path
        assert b"dG9rZW4=" not in (call.body or b"")
        assert "dG9rZW4=" not in repr(call)

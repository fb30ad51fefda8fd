"""What is kept of an answer: named fields, however it arrives; declarations, depth and floods end the parsing."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cucm import answers
from connectors.cucm.answers import Fault, Row, Rows, Shape
from connectors.errors import ProtocolViolation
from tests.support.cucm import site as sites
from tests.support.cucm.axl import Cucm, _envelope

PEOPLE = _envelope(
    '<ns:listUserResponse xmlns:ns="http://www.cisco.com/AXL/API/14.0"><return>'
    '<user uuid="{1}"><firstName>Zo\u00eb &amp; Co</firstName><lastName/><userid>zoe</userid>'
    "<password>CANARY</password><primaryExtension><pattern>2001</pattern><secret>CANARY</secret></primaryExtension>"
    "<other><userid>not this</userid></other></user><user><userid>bo</userid></user></return></ns:listUserResponse>"
)


def rows(data: bytes, step: int = 1 << 20, most: int = 10) -> list[Row]:
    found = list[Row]()
    reader = answers.users(found.append, most)
    for at in range(0, len(data), step):
        reader(data[at : at + step])
    reader.finish()
    return found


@settings(deadline=None)
@given(step=st.integers(1, 700))
def test_fields_are_the_same_however_the_answer_is_cut_and_others_are_dropped(step: int) -> None:
    first, second = rows(PEOPLE, step)
    assert first == {
        "uuid": ["{1}"], "firstName": ["Zoë & Co"], "lastName": [""], "userid": ["zoe"], "extension": ["2001"],
    }  # fmt: skip
    assert second == {"userid": ["bo"]}


@pytest.mark.parametrize("cut", range(1, len(PEOPLE), 7))
def test_half_an_answer_is_none(cut: int) -> None:
    with pytest.raises(ProtocolViolation):
        rows(PEOPLE[:cut])


BOMB = "".join(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};">' for n in range(1, 40))


@pytest.mark.parametrize(
    "data",
    [
        f'<!DOCTYPE x [<!ENTITY a0 "ha">{BOMB}]><x>&a39;</x>'.encode(),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/">%p;]><x/>',
        b"<!DOCTYPE x><x/>",
        PEOPLE.replace(b"<soapenv:Envelope", b"<!DOCTYPE x [<!ENTITY a 'x'>]><soapenv:Envelope", 1),
        PEOPLE.replace(b"zoe<", b"&unknown;<"),
    ],
)
def test_entities_and_declarations_are_refused_where_they_begin(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        rows(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (PEOPLE.replace(b"zoe<", b"z" * 5_000 + b"<"), "too long"),
        (PEOPLE.replace(b"zoe<", b"zoe<deeper>x</deeper><"), "no sense"),
        (_envelope("<a>" * 40 + "</a>" * 40), "too deep"),
        (_envelope("<listUserResponse><return>" + "<user/>" * 11 + "</return></listUserResponse>"), "more than was"),
        (_envelope("<x>" + "<y>0</y>" * (1 << 19) + "</x>"), "too large"),
        (_envelope("<getUserResponse><return/></getUserResponse>"), "no sense"),
        (_envelope("<soapenv:Fault><faultstring>x</faultstring></soapenv:Fault>"), "no sense"),
        (_envelope(""), "no sense"),
        (PEOPLE.replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://elsewhere/"), "no sense"),
        (PEOPLE.replace(b"Zo\xc3\xab", b"Zo\xff\xfe"), "no sense"),
        (PEOPLE.decode().replace("UTF-8", "ISO-8859-1").encode("latin-1"), "no sense"),
        (b"\x00" * 100, "no sense"),
        (b"", "no sense"),
        (PEOPLE + PEOPLE, "no sense"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_our_words(data: bytes, why: str) -> None:
    with pytest.raises(ProtocolViolation, match=why) as caught:
        rows(data)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_answer_without_anybody_is_one() -> None:
    assert rows(_envelope("<listUserResponse><return/></listUserResponse>")) == []


def test_of_a_write_only_that_it_was_answered() -> None:
    reader = answers.done("updateUser")
    reader(_envelope("<updateUserResponse><return>{CANARY}<password>CANARY</password></return></updateUserResponse>"))
    reader.finish()
    assert "CANARY" not in repr([reader._text, reader._now, reader._stack])


def fault(words: str, code: str = "-1") -> Fault:
    made = Fault()
    made(
        _envelope(
            f"<soapenv:Fault><faultcode>x</faultcode><faultstring>{words}</faultstring><detail><axlError>"
            f"<axlcode>{code}</axlcode><axlmessage>CANARY</axlmessage><request>x</request></axlError></detail>"
            "</soapenv:Fault>"
        )
    )
    made.finish()
    return made


def test_a_fault_is_its_code_and_what_is_to_be_done() -> None:
    large = fault("Query request too large. Total rows matched: 2816 rows. Suggestive Row Fetch: less than 844 rows")
    assert (large.code, large.fits, large.busy) == (-1, 844, False)
    other = fault("Query request too large. Total rows matched: 9. Suggested row fetch: less than 5")
    assert other.fits == 5
    assert fault("Maximum AXL Memory Allocation Consumed. Please retry").busy
    plain = fault("Item not valid: CANARY", "5007")
    assert (plain.code, plain.fits, plain.busy) == (5007, None, False)
    assert "CANARY" not in repr(vars(plain))
    assert fault("x", "five").code is None


def test_the_stand_in_tells_every_secret_to_whoever_asks_for_everything() -> None:
    """Otherwise a connector that did not name its fields would look as good as this one."""
    told = sites.site()._get(_asked("<userid>gokonkwo</userid>"), "14.0")
    assert all(secret in told for secret in sites.MODEL.values())
    assert isinstance(sites.site(), Cucm)


def _asked(inner: str) -> ET.Element:
    return ET.fromstring(f"<getUser>{inner}</getUser>")  # noqa: S314  written above


def test_rows_are_handed_over_one_at_a_time() -> None:
    seen = list[int]()
    reader = Rows(Shape(("a", "b"), {}), lambda _: seen.append(1), 5)
    reader(b"<a><b/>")
    assert seen == [1]
    reader(b"<b/></a>")
    reader.finish()
    assert seen == [1, 1]


def listing(inner: str) -> bytes:
    return _envelope(f"<listUserResponse><return>{inner}</return></listUserResponse>")


def test_what_is_just_within_its_bound_is_taken_and_one_more_is_not() -> None:
    within = listing(f"<user><userid>{'z' * 4096}</userid></user>")
    assert rows(within) == [{"userid": ["z" * 4096]}]
    # Envelope, Body, listUserResponse and return are four of the 32.
    assert rows(listing("<a>" * 28 + "</a>" * 28)) == []
    for refused in (
        listing(f"<user><userid>{'z' * 4097}</userid></user>"), listing("<a>" * 29 + "</a>" * 29),
        listing("<user/>" * 3),
    ):  # fmt: skip
        with pytest.raises(ProtocolViolation):
            rows(refused, most=2)
    assert rows(listing("<user/>" * 2), most=2) == [{}, {}]


def test_an_answer_may_have_four_megabytes_and_not_a_byte_more() -> None:
    empty = len(listing("<!---->"))
    assert rows(listing(f"<!--{'x' * ((4 << 20) - empty)}-->")) == []
    with pytest.raises(ProtocolViolation, match="too large"):
        rows(listing(f"<!--{'x' * ((4 << 20) - empty + 1)}-->"))


def test_only_an_envelope_of_soap_is_one() -> None:
    other = b"http://schemas.xmlsoap.org/soap/envelope/"
    body = PEOPLE.replace(b"<soapenv:Body>", b'<soapenv:Body xmlns:soapenv="%s">' % other)
    with pytest.raises(ProtocolViolation):
        rows(body.replace(b'xmlns:soapenv="%s"><soapenv:Body' % other, b'xmlns:soapenv="http://x/"><soapenv:Body'))


def whole(reader: Rows, data: bytes) -> None:
    reader(data)
    reader.finish()


def test_each_reader_takes_its_own_answer_and_no_other() -> None:
    user = '<user uuid="{1}"><displayName>Zoë</displayName><mailid>z@x.example</mailid>'
    user += "<telephoneNumber>1</telephoneNumber><ldapDirectoryName>AD</ldapDirectoryName>"
    user += "<associatedDevices><device>a</device><device>b</device>"
    user += "</associatedDevices><userid>z</userid></user>"
    got = _envelope(f"<getUserResponse><return>{user}</return></getUserResponse>")
    cases = {
        "user": (answers.user, got, {"uuid": ["{1}"], "displayName": ["Zoë"], "mailid": ["z@x.example"],
                                     "telephoneNumber": ["1"], "directory": ["AD"], "userid": ["z"]}),
        "devices": (answers.devices, got, {"uuid": ["{1}"], "userid": ["z"], "devices": ["a", "b"]}),
        "version": (answers.version, _envelope(
            "<getCCMVersionResponse><return><componentVersion><version>14</version></componentVersion></return>"
            "</getCCMVersionResponse>"), {"version": ["14"]}),
        "mailbox": (lambda keep: answers.mailboxes(keep, 1),
                    b"<Users><User><ObjectId>o</ObjectId><Alias>z</Alias><Pin>1</Pin></User></Users>",
                    {"object": ["o"], "alias": ["z"]}),
    }  # fmt: skip
    for name, (made, data, expected) in cases.items():
        found = list[Row]()
        reader = made(found.append)
        reader(data)
        reader.finish()
        assert found == [expected], name
        twice = data.replace(b"</user>", b"</user><user/>").replace(b"</User>", b"</User><User/>")
        twice = twice.replace(b"</return></getCCM", b"</return><return/></getCCM")
        for other in (twice, PEOPLE, b"<x/>", _envelope("<updateUserResponse><return/></updateUserResponse>")):
            with pytest.raises(ProtocolViolation):
                whole(made(lambda _: None), other)


def test_a_field_has_a_thousand_values_at_most() -> None:
    for count, most in ((1_000, True), (1_001, False)):
        inner = "<user><associatedDevices>" + "<device>a</device>" * count + "</associatedDevices></user>"
        data = _envelope(f"<getUserResponse><return>{inner}</return></getUserResponse>")
        found = list[Row]()
        reader = answers.devices(found.append)
        if most:
            reader(data)
            assert len(found[0]["devices"]) == count
        else:
            with pytest.raises(ProtocolViolation):
                reader(data)


def test_an_envelope_of_something_that_only_begins_so_is_none() -> None:
    with pytest.raises(ProtocolViolation):
        rows(
            PEOPLE.replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://schemas.xmlsoap.org/soap/envelope/2")
        )


def test_one_request_has_one_fault_or_one_outcome() -> None:
    one = "<soapenv:Fault><faultstring>x</faultstring></soapenv:Fault>"
    assert not Fault().busy
    whole(Fault(), _envelope(one))
    with pytest.raises(ProtocolViolation):
        whole(Fault(), _envelope(one * 2))
    with pytest.raises(ProtocolViolation):
        whole(answers.done("updateUser"), _envelope("<updateUserResponse><return/><return/></updateUserResponse>"))
    for code in ("5007x", "x5007", "1234567", "--1", ""):
        assert fault("x", code).code is None

"""Rows to persons and caller ids to names and back, without a database: what its parsers take, and what they refuse."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from connectors.asterisk.people import CALLERID_LENGTH, device, person
from connectors.asterisk.settings import AsteriskRealtimeSettings, DdiTable
from connectors.callerid import name_of, parts, renamed
from connectors.contract import Device, Person
from connectors.errors import InvalidValue, ProtocolViolation

PLAIN = AsteriskRealtimeSettings()
WITH_DDI = AsteriskRealtimeSettings.model_validate(
    {"ddi": {"table": "site_ddi", "number_column": "number", "extension_column": "extension"}}
)


@pytest.mark.parametrize(
    ("callerid", "fullname", "name"),
    [
        ('"Grace Okonkwo" <1001>', "Other", "Grace Okonkwo"), ('  "Grace"  ', None, "Grace"),
        ('"Say \\"hi\\" \\\\ now" <1001>', None, 'Say "hi" \\ now'), ("Grace Okonkwo <1001>", None, "Grace Okonkwo"),
        ("  Grace   <1001>  ", None, "Grace"), ("<1001>", "From the mailbox", "From the mailbox"),
        ("1001", "From the mailbox", "From the mailbox"), ("*97#+", "", ""), ("", "Only mailbox", "Only mailbox"),
        (None, None, ""), ("  Odd \" name ", None, 'Odd " name'), ('"" <1001>', "From the mailbox", "From the mailbox"),
        ("Grace", "Other", "Grace"), ('"Eve\r\nMallory" <1>', None, "Eve\r\nMallory"),
    ],
)  # fmt: skip
def test_the_name_in_a_caller_id(callerid: str | None, fullname: str | None, name: str) -> None:
    assert name_of(callerid, fullname) == name


@pytest.mark.parametrize(
    ("callerid", "name", "made"),
    [
        ('"Grace" <1001>', "Ana", '"Ana" <1001>'), ("Grace <1001>", "Ana", "Ana <1001>"),
        ("Grace <1001>", "Ana; x", '"Ana; x" <1001>'), ("<1001>", "Ana", '"Ana" <1001>'),
        ("1001", "Ana", '"Ana" <20>'), (None, "Ana", '"Ana" <20>'), ('"Grace"', "Ana", '"Ana" <20>'),
        ("Grace <+44>", "Siobhán O'Brien", "Siobhán O'Brien <+44>"),
    ],
)  # fmt: skip
def test_a_caller_id_keeps_its_number_and_its_way_of_quoting(callerid: str | None, name: str, made: str) -> None:
    assert renamed(callerid, name, "20", CALLERID_LENGTH) == made
    assert name_of(made, None) == name


def test_a_name_that_does_not_fit_says_how_much_does() -> None:
    most = CALLERID_LENGTH - len('"" <1001>')
    assert len(renamed('"G" <1001>', "x" * most, "1001", CALLERID_LENGTH)) == CALLERID_LENGTH
    with pytest.raises(InvalidValue, match=f"at most {most} characters"):
        renamed('"G" <1001>', "x" * (most + 1), "1001", CALLERID_LENGTH)


def test_a_row_becomes_a_person() -> None:
    row = ("desk-7", '"Grace" <1001>', "1001", "Grace B", "g@x.example", ["442079460101", None, "odd"])
    assert person(row, WITH_DDI) == Person("desk-7", "1001", "Grace", "g@x.example", ("+442079460101", "odd"))
    assert person(row, PLAIN) == Person("desk-7", "1001", "Grace", "g@x.example", None)
    assert person(("desk-7", None, None, None, "", []), WITH_DDI) == Person("desk-7", "desk-7", "", None, ())


@pytest.mark.parametrize(
    "row",
    [
        (), ("a", "b", "c", "d", "e"), ("a", "b", "c", "d", "e", [], "g"), (None, "b", "c", "d", "e", []),
        (7, "b", "c", "d", "e", []), ("a", 7, "c", "d", "e", []), ("a", "b", 7, "d", "e", []),
        ("a", "b", "c", b"d", "e", []), ("a", "b", "c", "d", 7, []), ("a", "b", "c", "d", "e", None),
        ("a", "b", "c", "d", "e", 7),
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_told_without_its_content(row: tuple[object, ...]) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        person(row, WITH_DDI)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("uri", "where"),
    [
        ("sip:1001@192.0.2.7:5060;transport=udp", "192.0.2.7:5060"), ("sips:192.0.2.7", "192.0.2.7"),
        ("sip:user:CANARY@[2001:db8::1]:5060", "[2001:db8::1]:5060"), ("sip:a@b@host.example", "host.example"),
        ("sip:1001:CANARY@\x1b", "an address that"),
        ("http://x", "an address that"), ("", "an address that"), (None, "an address that"),
        ("sip:1001@\x1b[2J", "an address that"), ("xsip:h", "an address that"),
    ],
)  # fmt: skip
def test_a_contact_is_shown_by_its_network_address_alone(uri: str | None, where: str) -> None:
    shown = device("desk-7", uri, 17)
    assert shown.label.startswith(f"desk-7 at {where}")
    assert "CANARY" not in shown.label
    assert shown.label.isprintable()
    assert shown == Device(shown.label, 17_000)
    assert device("desk-7", uri, None).expires_ms is None


def test_names_in_columns_come_once_each() -> None:
    assert parts("a, b,,a", None, " c ,b", "") == ["a", "b", "c"]
    assert parts() == []


def table(**more: str) -> DdiTable:
    return DdiTable.model_validate({"table": "t", "number_column": "n", "extension_column": "e"} | more)


@pytest.mark.parametrize(
    ("shape", "stored", "shown"),
    [
        ("digits", "442079460101", "+442079460101"), ("plus", "+442079460101", "+442079460101"),
        ("national", "02079460101", "+442079460101"), ("national", "442079460101", "442079460101"),
        ("national", "0207", "0207"), ("digits", "0207946", "0207946"), ("digits", "44-20", "44-20"),
        ("digits", "12345", "12345"), ("digits", "123456", "+123456"), ("digits", "1" * 15, "+" + "1" * 15),
        ("digits", "1" * 16, "1" * 16), ("digits", " 442079460101 ", "+442079460101"),
        ("national", "012345", "+4412345"), ("national", "0" + "1" * 14, "+44" + "1" * 14),
        ("national", "0" + "1" * 15, "0" + "1" * 15), ("digits", "442079460101x", "442079460101x"),
    ],
)  # fmt: skip
def test_a_stored_number_is_shown_as_e164_where_it_is_one(shape: str, stored: str, shown: str) -> None:
    assert table(shape=shape).shown(stored) == shown


def test_a_number_is_written_as_the_table_writes_it() -> None:
    assert table(shape="digits").stored("+442079460101") == "442079460101"
    assert table(shape="plus").stored("+442079460101") == "+442079460101"
    assert table(shape="national").stored("+442079460101") == "02079460101"
    with pytest.raises(ValueError, match="another country"):
        table(shape="national").stored("+12079460101")


@pytest.mark.parametrize(
    ("shape", "typed", "word"),
    [
        ("digits", "+442079460101", "442079460101"), ("digits", "020.7946-0101", "442079460101"),
        ("national", "+442079460101", "02079460101"), ("national", "+12079460101", "+12079460101"),
        ("digits", "1001", "1001"), ("digits", "grace", "grace"), ("digits", "+44", "+44"), ("digits", "+442", "442"),
        ("digits", "(020)7946/0101", "442079460101"), ("digits", "012345", "012345"), ("digits", "0123456", "44123456"),
        ("digits", "+44x", "+44x"), ("plus", "02079460101", "+442079460101"),
    ],
)  # fmt: skip
def test_a_word_that_is_half_a_number_is_looked_for_as_the_table_writes_it(shape: str, typed: str, word: str) -> None:
    assert table(shape=shape).word(typed) == word


@pytest.mark.parametrize("callerid", ['"Grace" <1001> and more', "Grace <1001> and more"])
def test_a_caller_id_with_something_behind_it_is_no_name_and_number(callerid: str) -> None:
    assert name_of(callerid, None) == callerid
    assert renamed(callerid, "Ana", "20", CALLERID_LENGTH) == '"Ana" <20>'


def test_a_caller_id_is_as_long_as_asterisk_s_column() -> None:
    assert CALLERID_LENGTH == 40


def test_numbers_at_the_edges_of_what_is_one() -> None:
    assert table(shape="digits").shown(" +442079460101 ") == "+442079460101"
    assert table(shape="digits").word("0" + "1" * 15) == "0" + "1" * 15
    assert table(shape="digits").word("+" + "1" * 16) == "+" + "1" * 16


def test_settings_are_by_default_what_the_page_says() -> None:
    assert PLAIN.model_dump(by_alias=True) == {
        "database": "asterisk", "schema": "public", "sslmode": "pinned", "user_contexts": (),
        "voicemail_context": "default", "mailbox": "mailboxes", "realm": "asterisk", "digest": "md5",
        "sorcery_cache": "none", "expiry": None, "ddi": None, "allow_selected": False,
    }  # fmt: skip
    assert table().model_dump() == {
        "table": "t", "number_column": "n", "extension_column": "e", "shape": "digits", "country_code": "44",
    }  # fmt: skip
    assert AsteriskRealtimeSettings(namespace="voice").namespace == "voice"
    assert AsteriskRealtimeSettings.model_validate({"schema": "voice"}).namespace == "voice"


@pytest.mark.parametrize("made", [PLAIN, table()])
def test_settings_do_not_change_and_take_nothing_unknown(made: BaseModel) -> None:
    for field in type(made).model_fields:
        with pytest.raises(ValidationError):
            setattr(made, field, getattr(made, field))
    with pytest.raises(ValidationError):
        type(made).model_validate(made.model_dump() | {"nonsense": 1})


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", 'a"b', "a;b", "a" * 64, "a\n", "ä"])
def test_an_identifier_is_a_plain_one(name: str) -> None:
    for field in ("table", "number_column", "extension_column"):
        with pytest.raises(ValidationError):
            table(**{field: name})
    with pytest.raises(ValidationError):
        AsteriskRealtimeSettings.model_validate({"schema": name})
    assert table(table="_" + "a" * 62).table == "_" + "a" * 62


HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA"


def test_the_way_to_the_cache_is_by_default_what_the_page_says() -> None:
    made = AsteriskRealtimeSettings.model_validate({"sorcery_cache": "expires", "expiry": {"pin": HOST_KEY}})
    assert made.expiry is not None
    assert made.expiry.model_dump() == {"pin": HOST_KEY, "host": None, "port": 22, "login": "frameroom"}
    with pytest.raises(ValidationError):
        made.expiry.port = 2222


@pytest.mark.parametrize(
    "settings",
    [
        {"sorcery_cache": "expires"},
        {"expiry": {"pin": HOST_KEY}},
        {"sorcery_cache": "operator-expires", "expiry": {"pin": HOST_KEY}},
        {"sorcery_cache": "expires", "expiry": {"pin": HOST_KEY, "login": "a b"}},
        {"sorcery_cache": "expires", "expiry": {"pin": HOST_KEY, "port": 0}},
        {"sorcery_cache": "expires", "expiry": {"pin": HOST_KEY, "command": "sh"}},
        {"sorcery_cache": "expires", "expiry": {"pin": "no key"}},
    ],
)
def test_half_a_way_to_the_cache_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AsteriskRealtimeSettings.model_validate(settings)

"""Direct numbers and routes without a database: what FusionPBX would write, and what nobody may."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.errors import InvalidValue, ProtocolViolation, Refused
from connectors.fusionpbx.dialplan import Route
from connectors.fusionpbx.event_socket import words
from connectors.fusionpbx.numbers import Stored, stored, word
from connectors.fusionpbx.people import Destination, Mailbox, Own, User, name_of, person
from connectors.fusionpbx.requests import GUARD, KEY
from connectors.fusionpbx.settings import FusionPbxSettings, Numbers

ID = "3167b2e6-3be9-58d5-825f-33f216c33ee4"
PLAIN = Route("2079460123", r"^\+?(?:44)?(2079460123)$", "1001 XML brook.example", ID, "destination_number", ID,
              "brook.example")  # fmt: skip
# The XML that destination_edit.php of FusionPBX 5.6 makes of a number that rings one extension.
XML = [
    f'<extension name="2079460123" continue="false" uuid="{ID}">',
    r'<condition field="destination_number" expression="^\+?(?:44)?(2079460123)$">',
    '<action application="export" data="call_direction=inbound" inline="true"/>',
    f'<action application="set" data="domain_uuid={ID}" inline="true"/>',
    '<action application="set" data="domain_name=brook.example" inline="true"/>',
    '<action application="transfer" data="1001 XML brook.example"/>', "</condition>", "</extension>",
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "regex"),
    [
        (Stored("442079460123"), "^(442079460123)$"), (Stored("+442079460123"), r"^\+(442079460123)$"),
        (Stored("2079460123", "44"), r"^\+?(?:44)?(2079460123)$"), (Stored("2089068227", "1"), r"^\+?1?(2089068227)$"),
        (Stored("2079460123", "44", "0"), r"(\+?442079460123$|^02079460123$|^2079460123$)"),
        (Stored("79460123", "44", "", "20"), r"(\+?442079460123$|^2079460123$|^79460123$)"),
        (Stored("79460123", "44", "0", "20"), r"(\+?442079460123$|^02079460123$|^2079460123$|^79460123$)"),
    ],
)  # fmt: skip
def test_the_expression_is_fusionpbxs(number: Stored, regex: str) -> None:
    assert number.regex() == regex


@pytest.mark.parametrize(
    ("write", "made"),
    [("prefix", Stored("2079460123", "44")), ("digits", Stored("442079460123")), ("plus", Stored("+442079460123")),
     ("national", Stored("02079460123"))],
)  # fmt: skip
def test_a_new_number_is_written_as_the_site_does(write: str, made: Stored) -> None:
    settings = Numbers.model_validate({"write": write})
    assert stored("+442079460123", settings) == made
    home_only = stored("+33142685300", settings)
    assert (home_only is None) == (write in ("prefix", "national"))
    for bad in ("2079460123", "+44x", "", "+0", "+44207946012345678", "+44 20"):
        assert stored(bad, settings) is None


def test_the_cache_knows_a_number_by_all_that_is_dialled() -> None:
    assert Stored("2079460123", "44", "0").dialled() == (
        "2079460123", "442079460123", "+442079460123", "02079460123",
    )  # fmt: skip
    assert Stored("44207946012x").dialled() == ()


@pytest.mark.parametrize(
    ("typed", "found"),
    [("02079460123", "+442079460123"), ("020-7946-0123", "+442079460123"), ("+44207", "+44207"), ("0207", "0207"),
     ("grace", "grace"), ("1001", "1001")],
)  # fmt: skip
def test_a_number_is_looked_for_however_it_is_typed(typed: str, found: str) -> None:
    assert word(typed, Numbers()) == found


def test_a_route_is_written_as_fusionpbx_writes_it() -> None:
    assert PLAIN.lines() == XML
    assert PLAIN.details() == [
        r"condition destination_number - ^\+?(?:44)?(2079460123)$", "action transfer - 1001 XML brook.example",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        {"transfer": "1001 XML brook.example lua"}, {"transfer": "1001 XML ${system(id)}"},
        {"hold_music": '"/><action application="system" data="id'}, {"accountcode": "${system(id)}"},
        {"cid_prefix": "${lua(x)}"}, {"ringback": "${system(id)}"}, {"ringback": "${us-ring} ${system(id)}"},
        {"distinctive_ring": "a&b"}, {"hold_music": "$${password}"}, {"field": "${system(id)}"}, {"name": "1'2"},
        {"provider": "x"}, {"domain_name": "a b"}, {"accountcode": "a\nb"}, {"regex": ".*"},
    ],
)  # fmt: skip
def test_a_setting_that_would_run_something_is_refused_and_not_sanitised(bad: dict[str, str]) -> None:
    route = Route(**{f: getattr(PLAIN, f) for f in PLAIN.__slots__} | bad)
    with pytest.raises(Refused):
        route.lines()


RUNS = re.compile(r"\$\{(?!(?:caller_id_name|recordings_dir|domain_name|strftime\(%[Ybd]\)|uuid|record_path|"
                  r"record_name|sip_to_user|sip_req_user|[a-z][a-z0-9-]{1,20})\})")  # fmt: skip
PIECES = st.sampled_from(
    ["<action ", 'application="set" ', 'application="system" ', 'application="transfer" ', 'data="', "domain_name=x",
     "ringback=${us-ring}", "${system(id)}", "${lua", "1001 XML a.b", '" inline="true"/>', '"/>', "</condition>",
     "<!DOCTYPE x>", "&lt;", "&#10;", "hold_music=", "local_stream://a", "condition ", "action set true ",
     "action lua - x", "call_direction=inbound", "'", " ", "$", "{", "}", "x"]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=8).map("".join))
def test_no_line_that_runs_anything_can_be_sent(text: str) -> None:
    for name, field, values in (
        ("set-dialplan", "lines", {"domain": ID, "dialplan": ID, "number": "2079460123"}),
        ("insert-details", "details", {"domain": ID, "dialplan": ID}),
    ):
        try:
            GUARD.render(name, **values, **{field: [text]})
        except InvalidValue:
            continue
        assert not RUNS.search(text)
        used = re.findall(r'application="([^"]*)"', text) or re.findall(r"^action (\S+)", text)
        assert set(used) <= {"set", "export", "record_session", "transfer"}


@given(st.text(max_size=40))
def test_a_key_is_nothing_but_a_key(key: str) -> None:
    try:
        request = GUARD.render("flush-file", key=key)
    except InvalidValue:
        return
    assert re.fullmatch(KEY, key)
    sent = words(request).decode()
    assert sent.count("\n") == 2
    assert "/" not in sent.rpartition(" ")[2]
    assert not sent.rpartition(" ")[2].startswith(".")


@pytest.mark.parametrize(
    "key", ["", "directory:1001@", "directory:../x@a", "directory:1001@a b", "directory:1001@a\n\napi shutdown",
            "dialplan:/etc", "configuration:sofia.conf", "dialplan:public:x", "directory:1@..", "dialplan:..:1"],
)  # fmt: skip
def test_keys_that_are_none(key: str) -> None:
    for name in ("flush-file", "flush-memcache"):
        with pytest.raises(InvalidValue):
            GUARD.render(name, key=key)


@pytest.mark.parametrize("secret", ["", "a b", "a\n\napi system id", "a\x00", "é", None, "x" * 300])
def test_an_event_sockets_password_is_one_word(secret: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        GUARD.render("event-socket-auth", secret=secret)
    assert not secret or str(secret) not in caught.value.message


def test_only_the_sockets_own_requests_have_words() -> None:
    with pytest.raises(ProtocolViolation):
        words(GUARD.render("begin"))


@pytest.mark.parametrize("host", ["8.8.8.8", "pbx.example", "", "127.0.0.1.evil", "2001:4860:4860::8888"])
def test_the_event_socket_is_spoken_to_at_a_private_address_alone(host: str) -> None:
    with pytest.raises(ValidationError):
        FusionPbxSettings.model_validate({"domain": "a.example", "event_socket": {"host": host}})


@pytest.mark.parametrize("group", ["superadmin", "SuperAdmin", "admin", "x;y", ""])
def test_administrators_cannot_be_named(group: str) -> None:
    with pytest.raises(ValidationError):
        FusionPbxSettings.model_validate({"domain": "a.example", "portal_groups": [group]})


def test_rows_to_persons() -> None:
    assert name_of(" Grace ", "A", "B") == "Grace"
    assert name_of("", "A ", " B") == name_of(None, "A", "B") == "A B"
    assert name_of(None, None, " ") == ""
    for row in ((), (1,) * 7, ("a", "b", None, None, None, None, None), ("a", "b", 3, None, None, None, []),
                ("a", "b", None, None, None, None, [7])):  # fmt: skip
        with pytest.raises(ProtocolViolation):
            person(row)


def test_rows_that_are_none_are_told_without_their_content() -> None:
    own = ("id", "1001", None, "Grace", None, None, "ctx", None)
    assert Own.of([own]).extension == "1001"
    for of, rows in (
        (lambda row: Own.of([row]), [own[:7], (*own[:3], 7, *own[4:]), (*own, None)]),
        (User.of, [("id", 7, None, [], 0), ("id", "n", None, [], "x"), ("id",)]),
        (Mailbox.of, [("id", "1001", b"x"), ("id",)]),
        (Destination.of, [("id",) * 19, ("id",) * 3]),
    ):
        for row in rows:
            with pytest.raises(ProtocolViolation) as caught:
                of(row)
            assert caught.value.__context__ is None

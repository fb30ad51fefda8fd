"""Rows to persons and to all that is one person's, and what FusionPBX would write of a number. No database needed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from connectors.contract import Person
from connectors.errors import InvalidValue, NotFound, ProtocolViolation, Refused
from connectors.fusionpbx import dialplan
from connectors.fusionpbx.dialplan import Route
from connectors.fusionpbx.numbers import Stored
from connectors.fusionpbx.people import Destination, Mailbox, Own, User, name_of, person, route
from connectors.fusionpbx.settings import FusionPbxSettings

ID = "3167b2e6-3be9-58d5-825f-33f216c33ee4"
DOMAIN = (ID, "brook.example")
SETTINGS = FusionPbxSettings.model_validate({"domain": "brook.example"})


def test_a_person_is_their_row() -> None:
    row = ("id", "1001", "Zoe", "A", "B", "z@x.example", ["+442079460123"])
    assert person(row) == Person("id", "1001", "Zoe", "z@x.example", ("+442079460123",))
    assert person(("id", "", None, "A", " B ", "", [])) == Person("id", "id", "A B", None, ())
    assert name_of(None, None, None) == ""
    assert name_of("  ", " A ", None) == "A"
    for wrong in (row[:6], (*row, 1), ("id", None, *row[2:]), (1, *row[1:]), (*row[:2], 7, *row[3:]),
                  (*row[:5], b"x", row[6]), (*row[:6], None), (*row[:6], [None])):  # fmt: skip
        with pytest.raises(ProtocolViolation):
            person(wrong)


def test_a_user_of_the_portal() -> None:
    assert User.of(("id", "zoe", "z@x.example", ["user"], 0)) == User("id", "zoe", "z@x.example", ("user",), 0)
    assert User.of(("id", None, "", [], 2)) == User("id", "", None, (), 2)
    for wrong in (
        ("id", "zoe", None, "user", 0),
        ("id", "zoe", None, [], None),
        ("id", "zoe", None, []),
        (7, "", "", [], 0),
    ):
        with pytest.raises(ProtocolViolation):
            User.of(wrong)
    with pytest.raises(ProtocolViolation) as caught:
        User.of(("id", "zoe", b"CANARY", [], 0))
    assert "CANARY" not in caught.value.message


def test_which_user_is_left_alone_and_why() -> None:
    settings = FusionPbxSettings.model_validate({"domain": "a.example", "portal_groups": ["user", "agent"]})
    assert User("id", "zoe", None, ("user", "agent"), 0).kept(settings) is None
    assert User("id", "zoe", None, (), 0).kept(settings) is None
    assert "other extensions" in str(User("id", "zoe", None, ("user",), 1).kept(settings))
    for groups in (("admin",), ("user", "superadmin")):
        assert "do not name" in str(User("id", "zoe", None, groups, 0).kept(settings))


def test_a_mailbox() -> None:
    assert Mailbox.of(("id", "1001", None)) == Mailbox("id", "1001", None)
    with pytest.raises(ProtocolViolation):
        Mailbox.of(("id", "1001", None, None))


ROUTE: list[Any] = [
    "did", ID, "+442079460123", "2079460123", "+44", "0", "20", "custom", "destination_number", ID, None, "Sales",
    "true", "local_stream://a", "bell", "${us-ring}", "acct", 0, ["transfer 1001 XML brook.example", None],
]  # fmt: skip


def destination(**at: Any) -> Destination:
    """That row with other columns, by `c` and number."""
    row = list(ROUTE)
    for column, value in at.items():
        row[int(column[1:])] = value
    return Destination.of(row)


def test_a_destination_is_its_row() -> None:
    made = destination()
    assert made == Destination(
        "did", ID, "+442079460123", Stored("2079460123", "44", "0", "20"), "custom",
        ("transfer 1001 XML brook.example",),
        {"field": "destination_number", "provider": ID, "cid_prefix": "Sales", "hold_music": "local_stream://a",
         "distinctive_ring": "bell", "ringback": "${us-ring}", "accountcode": "acct"}, True, False,
    )  # fmt: skip
    bare = destination(c1=None, c4=None, c5=None, c6=None, c7=None, c8=None, c9="", c11=None, c12="false", c13=None,
                       c14=None, c15=None, c16=None, c18=[])  # fmt: skip
    assert bare == Destination("did", None, "+442079460123", Stored("2079460123"), "public", (), {}, False, False)
    assert destination(c17=1).special
    assert destination(c17=[{"condition_field": "x"}]).special
    assert not destination(c17=0).special
    assert not destination(c17=[]).special
    assert destination(c10=ID).special, "it looks for a fax"
    assert not destination(c12=None).record


def test_a_row_of_a_destination_that_makes_no_sense() -> None:
    for column in range(17):
        with pytest.raises(ProtocolViolation):
            destination(**{f"c{column}": 7})
    for column in (17, 18):
        with pytest.raises(ProtocolViolation):
            destination(**{f"c{column}": "x"})
    for row in (ROUTE[:18], [*ROUTE, None]):
        with pytest.raises(ProtocolViolation):
            Destination.of(row)


def own(**changes: Any) -> Own:
    usual = {"id": "id", "extension": "1001", "alias": "", "callerid": "Zoe", "first": None, "last": None,
             "context": "ctx", "follow_me": None}  # fmt: skip
    return Own(**usual | changes)


def test_all_that_is_somebodys() -> None:
    row = ("id", "1001", None, "Zoe", "A", "B", None, ID)
    assert Own.of([row, ("other",) * 8]) == Own("id", "1001", "", "Zoe", "A", "B", "", ID)
    assert Own.of([("id", None, "2001", None, None, None, "ctx", None)]).extension == ""
    with pytest.raises(NotFound):
        Own.of([])
    with pytest.raises(ProtocolViolation):
        Own.of([row[:7]])
    assert own().extensions == ["1001"]
    assert own(alias="2001").extensions == ["1001", "2001"]
    assert own(extension="", alias="2001").extensions == ["2001"]
    assert own(alias="1001").extensions == ["1001"]
    assert own().name == "Zoe"
    assert own(callerid=None, first="A", last="B").name == "A B"
    assert own(alias="2001").keys() == ["directory:1001@ctx", "directory:2001@ctx"]


@pytest.mark.parametrize(("alias", "box"), [("", "1001"), ("2001", "2001"), ("zoe", "1001"), ("\u0661", "1001")])
def test_a_mailbox_is_the_aliass_where_that_is_a_number(alias: str, box: str) -> None:
    assert own(alias=alias).box == box


@pytest.mark.parametrize(
    "action", ["transfer 1001 XML ctx", "transfer 1001 XML brook.example", "transfer 2001 XML ctx"]
)
def test_a_number_that_rings_somebody_alone(action: str) -> None:
    assert own(alias="2001").rings_alone(destination(c18=[action]), "brook.example")


@pytest.mark.parametrize(
    "at",
    [{"c18": ["transfer 1002 XML ctx"]}, {"c18": ["transfer 1001 XML other"]}, {"c18": []}, {"c17": 1}, {"c10": ID},
     {"c18": ["transfer 1001 XML ctx", "transfer 1001 XML ctx"]}, {"c18": ["transfer 1001 XML "]},
     {"c18": ["voicemail 1001"]}],
)  # fmt: skip
def test_a_number_that_does_more_or_something_else_is_not_theirs_to_write(at: dict[str, Any]) -> None:
    made = destination(**{"c18": ["transfer 1001 XML ctx"], **at})
    assert not own().rings_alone(made, "brook.example")
    assert not own(context="").rings_alone(made, "")
    with pytest.raises(Refused, match="more than ring"):
        route(own(), made, made.stored, ID, DOMAIN, SETTINGS)


def test_a_route_has_all_that_its_destination_has() -> None:
    made = destination(c8="${sip_to_user}", c18=["transfer 1001 XML ctx"])
    assert route(own(), made, Stored("2079460900", "44"), ID, DOMAIN, SETTINGS) == Route(
        "2079460900", r"^\+?(?:44)?(2079460900)$", "1001 XML ctx", ID, "${sip_to_user}", ID, "brook.example", ID,
        "Sales", True, SETTINGS.record_extension, "local_stream://a", "bell", "${us-ring}", "acct",
    )  # fmt: skip
    bare = destination(c8=None, c9=None, c11=None, c12=None, c13=None, c14=None, c15=None, c16=None,
                       c18=["transfer 1001 XML ctx"])  # fmt: skip
    assert route(own(), bare, Stored("2079460900", "44"), ID, DOMAIN, SETTINGS) == Route(
        "2079460900", r"^\+?(?:44)?(2079460900)$", "1001 XML ctx", ID, SETTINGS.dialplan_destination, ID,
        "brook.example", record_extension=SETTINGS.record_extension,
    )  # fmt: skip


def test_what_is_not_told_of_a_number_is_not_so() -> None:
    plain = Destination("did", None, "1", Stored("1"), "public", ())
    assert (plain.record, plain.special) == (False, False)
    assert Route("1", "^(1)$", "1 XML a", ID, "destination_number", ID, "a").record_extension == "mp3"


# --- what is written of a route

WHOLE = Route(
    "2079460900", "^(2079460900)$", "1001 XML ctx", ID, "${sip_to_user}", ID, "brook.example", ID, "Sales", True, "wav",
    "local_stream://a", "bell", "${us-ring}", "acct",
)  # fmt: skip
_FOLDER = "record_path=${recordings_dir}/${domain_name}/archive/${strftime(%Y)}/${strftime(%b)}/${strftime(%d)}"


def _action(application: str, data: str, inline: str = "true") -> str:
    return f'<action application="{application}" data="{data}" inline="{inline}"/>'


def test_a_route_with_everything_as_fusionpbx_writes_it() -> None:
    assert WHOLE.lines() == [
        f'<extension name="2079460900" continue="false" uuid="{ID}">',
        '<condition field="${sip_to_user}" expression="^(2079460900)$">',
        _action("export", "call_direction=inbound"), _action("set", f"domain_uuid={ID}"),
        _action("set", "domain_name=brook.example"), _action("set", f"provider_uuid={ID}"),
        _action("set", "effective_caller_id_name=Sales#${caller_id_name}"), _action("set", _FOLDER),
        _action("set", "record_name=${uuid}.wav"), _action("set", "record_append=true"),
        _action("set", "record_in_progress=true"), _action("set", "recording_follow_transfer=true"),
        _action("set", "record_stereo=true"), _action("record_session", "${record_path}/${record_name}", "false"),
        _action("export", "hold_music=local_stream://a"), _action("export", "sip_h_Alert-Info=bell"),
        _action("export", "ringback=${us-ring}"), _action("export", "transfer_ringback=${us-ring}"),
        _action("export", "accountcode=acct"), '<action application="transfer" data="1001 XML ctx"/>', "</condition>",
        "</extension>",
    ]  # fmt: skip


def test_the_details_of_a_route_with_everything() -> None:
    assert WHOLE.details() == [
        "condition ${sip_to_user} - ^(2079460900)$",
        "action set true effective_caller_id_name=Sales#${caller_id_name}", "action set true ringback=${us-ring}",
        "action set true transfer_ringback=${us-ring}", "action export true accountcode=acct",
        "action export true hold_music=local_stream://a", "action export true sip_h_Alert-Info=bell",
        f"action set true {_FOLDER}", "action set true record_name=${uuid}.wav", "action set true record_append=true",
        "action set true record_in_progress=true", "action set true record_stereo=true",
        "action set true recording_follow_transfer=true",
        "action record_session false ${record_path}/${record_name}", "action transfer - 1001 XML ctx",
    ]  # fmt: skip


def test_each_line_of_a_route_can_be_sent_and_none_that_is_only_like_one() -> None:
    for check, made in ((dialplan.line, WHOLE.lines()), (dialplan.detail, WHOLE.details())):
        for one in made:
            check("a line", one)
            app = re.sub(r'(application="|^action )\w+', r"\1system", one)
            for wrong in (one + "\n", " " + one, f"x{one}", f"{one}<", *([app] if app != one else []), None, 7):
                with pytest.raises(InvalidValue) as caught:
                    check("a line", wrong)
                assert "Dialplan" in caught.value.next_step


_LONG = "a" * 200


@pytest.mark.parametrize(
    ("taken", "refused"),
    [
        (_action("export", f"hold_music={_LONG}"), _action("export", f"hold_music={_LONG}a")),
        (_action("export", "ringback="), _action("export", "ringback=${a}")),
        (_action("set", "ringback=${us}"), _action("set", "ringback=${Us}")),
        (_action("set", "transfer_ringback=${a" + "b" * 20 + "}"),
         _action("set", "transfer_ringback=${a" + "b" * 21 + "}")),
        (_action("set", f"domain_name={'a' * 253}"), _action("set", f"domain_name={'a' * 254}")),
        (_action("set", "domain_name=a"), _action("set", "domain_name=")),
        (_action("set", f"effective_caller_id_name={_LONG}#${{caller_id_name}}"),
         _action("set", f"effective_caller_id_name={_LONG}a#${{caller_id_name}}")),
        (_action("set", f"domain_uuid={ID}"), _action("set", f"domain_uuid={ID.upper()}")),
        (_action("set", f"provider_uuid={ID}"), _action("set", "provider_uuid=${x}")),
        (_action("set", "record_name=${uuid}.mp3"), _action("set", "record_name=${uuid}.sh")),
        (_action("export", "call_direction=inbound"), _action("export", "call_direction=outbound")),
        (_action("export", "accountcode=a b"), _action("export", "accountcode=a'b")),
        (_action("export", "sip_h_Alert-Info=a"), _action("export", "sip_h_X=a")),
        (f'<extension name="+123" continue="false" uuid="{ID}">',
         f'<extension name="12" continue="false" uuid="{ID}">'),
        (f'<extension name="{"1" * 20}" continue="false" uuid="{ID}">',
         f'<extension name="{"1" * 21}" continue="false" uuid="{ID}">'),
        ('<condition field="${sip_req_user}" expression="^(12)">',
         '<condition field="${sip_from}" expression="^(12)">'),
        ('<condition field="destination_number" expression="12345">',
         '<condition field="destination_number" expression="1234">'),
        (f'<condition field="destination_number" expression="{"1" * 200}">',
         f'<condition field="destination_number" expression="{"1" * 201}">'),
        (f'<action application="transfer" data="{"a" * 60} XML a"/>',
         f'<action application="transfer" data="{"a" * 61} XML a"/>'),
        ('<action application="transfer" data="*#+_.- XML a"/>', '<action application="transfer" data=" XML a"/>'),
    ],
)  # fmt: skip
def test_a_line_just_within_is_taken_and_one_just_beyond_is_not(taken: str, refused: str) -> None:
    dialplan.line("a line", taken)
    with pytest.raises(InvalidValue):
        dialplan.line("a line", refused)


@pytest.mark.parametrize("bad", [{"hold_music": "a'b"}, {"accountcode": "${system id}"}, {"transfer": "1001 LUA ctx"}])
def test_a_detail_that_would_run_something_is_refused(bad: dict[str, str]) -> None:
    made = Route(**{name: getattr(WHOLE, name) for name in Route.__slots__} | bad)
    for doing in (made.lines, made.details):
        with pytest.raises(Refused) as caught:
            doing()
        assert "Dialplan" in caught.value.next_step

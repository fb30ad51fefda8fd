"""Endpoints to persons: who is one, whose sections are whose, everybody in pages. No manager interface needed."""

from __future__ import annotations

import pytest

from connectors.asterisk_ami.mailbox import Mailbox
from connectors.asterisk_ami.people import Endpoint, Own, Paging, device, is_person, shares, shown
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import Device, Person
from connectors.errors import Conflict

SETTINGS = AsteriskAmiSettings()
ZOE = '"Zoë" <2001>'.encode()


def of(name: str = "2001", **lines: str | list[str]) -> Endpoint:
    raw = {key.encode(): [v.encode() for v in ([value] if isinstance(value, str) else value)]
           for key, value in lines.items()}  # fmt: skip
    return Endpoint.of(name.encode(), raw)


def test_of_several_lines_of_one_name_the_last_counts() -> None:
    one = Endpoint.of(
        b"2001", {b"callerid": [b"x", ZOE], b"auth": [b"a", b"b"], b"aors": [b"c"], b"mailboxes": [b"2001@x"]}
    )
    assert one == Endpoint("2001", '"Zoë" <2001>', 2, "b", "c", "2001@x")
    assert Endpoint.of(b"x", {}) == Endpoint("x", "", 0, "", "", "")
    assert Endpoint.of(b"Zo\xff", {}).section == "Zo\ufffd" == shown(b"Zo\xff")


def test_an_extension_is_the_caller_ids_number_else_the_accounts_name() -> None:
    assert of("alice", callerid="Alice <2001>").extension == "2001"
    assert of("alice", callerid="Alice").extension == of("alice").extension == "alice"


@pytest.mark.parametrize(
    ("mailboxes", "box"),
    [("2001@sales", ("sales", "2001")), ("2001", ("default", "2001")), (" 2001 @ sales , 2002@x", ("sales", "2001")),
     ("2001@", ("default", "2001")), ("", None), (" ", None), ("@sales", None), (",2002", None)],
)  # fmt: skip
def test_the_first_mailbox_that_is_named(mailboxes: str, box: tuple[str, str] | None) -> None:
    assert of(mailboxes=mailboxes).box(SETTINGS) == box


def test_two_devices_are_one_persons_by_caller_id_and_mailbox() -> None:
    one, other = of("1", callerid="Zoe <1>", mailboxes="1"), of("1-m", callerid="Zoe <1>", mailboxes="1")
    assert one.is_same_person(other)
    assert one.is_same_person(of("1", callerid="Bo <1>", mailboxes="2")), "the account itself"
    for another in (of("2", callerid="Bo <1>", mailboxes="1"), of("2", callerid="Zoe <1>", mailboxes="2"),
                    of("2", callerid="Zoe <1>")):  # fmt: skip
        assert not one.is_same_person(another)
    assert not of("1", callerid="Zoe <1>").is_same_person(of("2", callerid="Zoe <1>")), "no mailbox says so"


def test_a_person_as_shown() -> None:
    box = Mailbox("default", "2001", "Grace", "g@x.example")
    assert of(callerid='"Zoë" <2001>').person(box) == Person("2001", "2001", "Zoë", "g@x.example", None)
    assert of(callerid="<2001>").person(box).name == "Grace"
    assert of().person(None) == Person("2001", "2001", "", None, None)
    assert of().person(Mailbox("default", "2001", "Grace", "")).email is None


def test_who_is_somebody_and_who_a_trunk() -> None:
    some = frozenset({b"internal"})
    assert is_person({b"callerid": [b"Zoe <1>"]}, frozenset())
    assert is_person({b"mailboxes": [b"1"]}, frozenset())
    assert is_person({b"callerid": [b"Zoe"], b"context": [b"x", b"internal"]}, some)
    for lines in ({}, {b"callerid": [b"x", b""]}, {b"mailboxes": [b""]}, {b"context": [b"internal"]}):
        assert not is_person(lines, frozenset())
        assert not is_person(lines, some)
    assert not is_person({b"callerid": [b"Zoe"], b"context": [b"internal", b"trunk"]}, some)
    assert not is_person({b"callerid": [b"Zoe"]}, some)


def paged(after: str | None, size: int) -> Paging:
    paging = Paging(frozenset(), after, size)
    for n in range(1, 6):
        lines = {b"callerid": [b"P%d <%d>" % (n, n)], b"mailboxes": [b"%d" % n]}
        paging.keep(b"%d" % n, lines)
        paging.keep(b"%d-m" % n, lines)
        paging.keep(b"trunk%d" % n, {})
    return paging


def test_everybody_once_in_pages() -> None:
    first = paged(None, 2)
    assert first.enough()
    people, more = first.page()
    assert ([one.section for one in people], more) == (["1", "2"], True)
    people, more = paged("2", 3).page()
    assert ([one.section for one in people], more) == (["3", "4", "5"], False)
    assert not paged("2", 3).enough()
    assert paged("2", 2).enough()
    people, more = paged("5", 3).page()
    assert (people, more) == ([], False)
    with pytest.raises(Conflict) as caught:
        paged("9", 3).page()
    assert "again" in caught.value.next_step


def test_who_has_no_mailbox_is_somebody_of_their_own() -> None:
    paging = Paging(frozenset(), None, 5)
    for name in (b"1", b"2"):
        paging.keep(name, {b"callerid": [b"Zoe <1>"]})
    paging.keep(b"3", {b"callerid": [b"Bo <1>"], b"mailboxes": [b"1"]})
    paging.keep(b"4", {b"callerid": [b"Zoe <1>"], b"mailboxes": [b"1"]})
    assert [one.section for one in paging.page()[0]] == ["1", "2", "3", "4"]


def test_a_place_that_no_account_can_have_is_nobodys() -> None:
    with pytest.raises(Conflict):
        paged("\udc80", 3).page()


def owned(*others: Endpoint) -> Own:
    mine = (of("1", auth="1-auth, shared", aors="1", mailboxes="1"), of("1-m", auth="1-auth", aors="1-m, 1"))
    return Own(mine, others, SETTINGS)


def test_all_that_is_somebodys_and_what_others_use_of_it() -> None:
    own = owned(of("2", auth="shared ,x", aors="2"), of("3", mailboxes="1@default"), of("4", mailboxes="1@sales"))
    assert own.first.section == "1"
    assert own.ids == ("1", "1-m")
    assert own.auths == ["1-auth", "shared"]
    assert own.aors == ["1", "1-m"]
    assert own.box == ("default", "1")
    assert own.sharers() == ["3"]
    assert own.alone(own.auths, "auth") == ("1-auth",)
    assert own.alone(own.aors, "aors") == ("1", "1-m")
    nobody = Own((of("1"),), (of("2"), of("3", mailboxes="1")), SETTINGS)
    assert nobody.box is None
    assert nobody.sharers() == []


def test_two_accounts_share_a_password_a_registration_or_a_mailbox() -> None:
    mine = of("1", auth="a,b", aors="c", mailboxes="1")
    for one in (of("2", auth="x, b"), of("2", aors="c,y"), of("2", mailboxes="1@default")):
        assert shares(one, mine, SETTINGS) is True
    for one in (of("2", auth="c"), of("2", aors="a"), of("2", mailboxes="1@x"), of("2")):
        assert shares(one, mine, SETTINGS) is False
    assert shares(of("2"), of("1"), SETTINGS) is False, "two without any mailbox share none"


@pytest.mark.parametrize(
    ("uri", "where"),
    [("sip:2001@192.0.2.7:5060;transport=udp", "192.0.2.7:5060"),
     ("sips:2001@[2001:db8::7]:5061", "[2001:db8::7]:5061"),
     ("sip:192.0.2.7", "192.0.2.7"), ("sip:2001:CANARY@192.0.2.7", "192.0.2.7"),
     ("sip:a@CANARY@192.0.2.7", "192.0.2.7"),
     ("tel:+442079460123", "an address that cannot be shown"), ("sip:2001@", "an address that cannot be shown"),
     ("xsip:1@192.0.2.7", "an address that cannot be shown"), ("sip:1@\x1b[2J", "an address that cannot be shown"),
     ("sip:a\n@192.0.2.7", "192.0.2.7"), ("sip:1@" + "a" * 130, "a" * 120)],
)  # fmt: skip
def test_a_telephone_is_its_account_and_where_it_is(uri: str, where: str) -> None:
    assert device(b"2001", uri.encode(), b"60") == Device(f"2001 at {where}", 60_000)


def test_when_a_telephone_would_be_gone() -> None:
    for seconds, expires in ((b"0", 0), (b"9" * 12, 999_999_999_999_000), (b"9" * 13, None), (b"", None), (b"-1", None),
                             (b"60 ", None), (b"x", None)):  # fmt: skip
        assert device(b"2001", b"sip:192.0.2.7", seconds).expires_ms == expires
    assert device(b"a" * 90, b"sip:192.0.2.7", b"1").label == f"{'a' * 80} at 192.0.2.7"

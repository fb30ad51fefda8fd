"""Rows to persons, names to their parts, who may be changed and what a removal leaves: no phone system needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.contract import Person, Removal, SecretKind
from connectors.cucm.capabilities import NO_VOICEMAIL
from connectors.cucm.people import Own, Search, e164, labels, parts
from connectors.cucm.rules import RULES, may_change, may_remove, may_reset, notes, removal
from connectors.cucm.settings import CucmSettings
from connectors.errors import ConnectorError, InvalidValue, NotSupported, ProtocolViolation, Refused

ZOE = Own("{1}", "zoe", "Zo\u00eb", "de Vries", "Zo", "z@x.example", "2001", "020 7946 0123", False)
LOCAL = CucmSettings()


def test_somebody_is_their_row() -> None:
    row = {
        "uuid": ["{1}"], "userid": ["zoe"], "firstName": ["Zo\u00eb"], "lastName": ["de Vries"], "displayName": ["Zo"],
        "mailid": ["z@x.example"], "extension": ["2001", "2"], "telephoneNumber": ["020 7946 0123"], "directory": [" "],
    }  # fmt: skip
    assert Own.of(row) == ZOE
    assert Own.of(row | {"directory": ["AD"]}).from_directory
    assert Own.of({"userid": ["bare"]}) == Own("", "bare", "", "", "", "", "", "", False)
    for wrong in ({}, {"userid": [""]}):
        with pytest.raises(ProtocolViolation):
            Own.of(wrong)


def test_somebody_as_shown() -> None:
    assert ZOE.person("GB") == Person("zoe", "2001", "Zo\u00eb de Vries", "z@x.example", ("+442079460123",))
    bare = Own("", "bare", "", "Lobby", "", "", "", "", False)
    assert bare.person("GB") == Person("bare", "bare", "Lobby", None, ())
    assert replace(ZOE, extension="\\+442079460123").person("GB").extension == "+442079460123"
    assert replace(ZOE, last_name="").name == "Zo\u00eb"


@pytest.mark.parametrize(
    ("written", "shown"),
    [("+442079460123", "+442079460123"), (" 020 7946 0123 ", "+442079460123"), ("020 (7946)-0123", "+442079460123"),
     ("+44 20 7946 0123", "+442079460123"), ("2001", "2001"), ("20001", "20001"), ("", ""), (" ", ""), ("n/a", "n/a"),
     ("+4420794601 23", "+442079460123"), ("020 7946 0123 ext 4", "020 7946 0123 ext 4"), ("0 ((((", "0 (((("),
     ("+123456", "+123456"), ("020.7946.0123/", "+442079460123"), ("1" * 26, "1" * 26), ("00000", "00000"),
     ("(020) 7946-0123", "+442079460123"), ("(+44) 20 7946 0123", "+442079460123"),
     ("((020) 7946 0123", "((020) 7946 0123"), ("(2001)", "(2001)"),
     ("\u0660207946\u0660123", "\u0660207946\u0660123")],
)  # fmt: skip
def test_a_number_of_the_directory(written: str, shown: str) -> None:
    assert e164(written, "GB") == shown


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("Zo\u00eb Bell", "Zo\u00eb", "Bell"), ("Zo de Vries", "Zo", "de Vries"), ("Ann M Bell", "Ann M", "Bell"),
     ("Zo\u00eb Bell Okonkwo", "Zo\u00eb", "Bell Okonkwo"), ("Cher", "", "Cher"),
     ("Annde Vries", "Annde", "Vries"), ("Zo\u00ebann Bell", "Zo\u00ebann", "Bell"),
     ("a" * 64 + " " + "b" * 64, "a" * 64, "b" * 64)],
)  # fmt: skip
def test_a_name_in_its_parts(name: str, first: str, last: str) -> None:
    assert parts(name, ZOE) == (first, last)


@pytest.mark.parametrize(
    "name", ["a" * 65 + " b", "b " + "a" * 65, "", "Zo\u00eb ", "Zo\u00eb  Bell", "a  de Vries", "x\u2003 Bell"]
)
def test_a_name_that_the_phone_system_would_not_give_back_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        parts(name, ZOE)


def test_a_part_that_is_not_there_stays_nowhere() -> None:
    assert parts("Ann Bell", replace(ZOE, first_name="", last_name="")) == ("Ann", "Bell")
    assert parts("Ann Bell Ruiz", replace(ZOE, first_name="Ann", last_name="")) == ("Ann", "Bell Ruiz")


def test_who_is_looked_for() -> None:
    one = ZOE.person("GB")
    for words in ("ZO\u00cb", "vries z@x", "2001", "020 7946 0123", "02079460123 zo", "+44 20 7946 0123", "zoe"):
        assert Search(words, "GB").takes(one), words
    for words in ("zo\u00eb 2002", "02079460124", "zo vries 9999", "zoe2001"):
        assert not Search(words, "GB").takes(one), words
    assert Search("a", "GB")
    assert not Search("  ", "GB")
    assert not Search("none", "GB").takes(Person("1", "1", "", None, None))
    assert Search("1", "GB").takes(Person("1", "1", "", None, None))
    assert not Search("2001", "GB").takes(
        Person("1", "1", "", None, ("2001",)) if False else Person("1", "1", "x", None, ())
    )


def test_names_of_devices_that_are_fit_to_be_shown() -> None:
    assert labels(["SEP001122", "a" * 50, "a" * 51, "\x1b[2J", "", "a b", "x\n"]) == (
        "SEP001122", "a" * 50, *["a device"] * 5,
    )  # fmt: skip


def test_whoever_comes_from_a_directory_is_the_directorys() -> None:
    theirs = replace(ZOE, from_directory=True)
    for doing, words in ((may_change, "nothing was written"), (may_remove, "nothing was removed")):
        doing(ZOE)
        with pytest.raises(Refused, match=words) as caught:
            doing(theirs)
        assert "LDAP" in caught.value.next_step
        assert "directory" in caught.value.next_step


@pytest.mark.parametrize(
    ("kind", "voicemail", "from_directory", "passwords", "error"),
    [
        (SecretKind.VOICEMAIL, "none", False, "local", NotSupported),
        (SecretKind.VOICEMAIL, "synchronised", True, "local", None),
        (SecretKind.PORTAL, "none", True, "directory", Refused), (SecretKind.PORTAL, "none", True, "local", None),
        (SecretKind.PORTAL, "none", False, "directory", None), (SecretKind.SIP, "none", True, "directory", None),
    ],
)  # fmt: skip
def test_which_password_can_be_reset(
    kind: SecretKind, voicemail: str, from_directory: bool, passwords: str, error: type[ConnectorError] | None
) -> None:
    settings = CucmSettings.model_validate({"voicemail": voicemail, "directory_passwords": passwords})
    own = replace(ZOE, from_directory=from_directory)
    if error is None:
        may_reset(own, kind, settings)
        return
    with pytest.raises(error) as caught:
        may_reset(own, kind, settings)
    assert (NO_VOICEMAIL if error is NotSupported else "nothing was reset") in caught.value.message
    assert ("`voicemail`" if error is NotSupported else "LDAP") in caught.value.next_step


def test_what_is_said_of_a_reset() -> None:
    synchronised = CucmSettings(voicemail="synchronised")
    assert "Digest User" in notes(SecretKind.SIP, synchronised)[0]
    assert "Extension Mobility" in notes(SecretKind.VOICEMAIL, synchronised)[0]
    assert notes(SecretKind.VOICEMAIL, LOCAL) == notes(SecretKind.PORTAL, synchronised) == ()


def test_what_a_new_secret_is_made_of() -> None:
    made = {
        kind: (rules.alphabet, rules.min_length, rules.max_length, rules.must_change) for kind, rules in RULES.items()
    }
    letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    assert made == {
        SecretKind.VOICEMAIL: ("0123456789", 8, 16, True), SecretKind.SIP: (letters, 20, 64, False),
        SecretKind.PORTAL: (letters, 16, 64, True),
    }  # fmt: skip
    assert all(rules.stored for rules in RULES.values())


def test_what_a_removal_takes_and_leaves() -> None:
    devices = [f"SEP{n:02d}" for n in range(22)]
    always = (
        "hunt groups, pickup groups and translation patterns that lead to this person's lines",
        "calls in progress",
    )
    assert removal(replace(ZOE, extension=""), (), False) == Removal(
        ("the end user zoe, with password, PIN and digest credentials",), always
    )
    line = "the line 2001, and whatever outside number leads to it"
    assert removal(ZOE, devices[:1], True).remains == (
        "the device SEP00, which this person controlled, with its lines", line,
        "the mailbox in Unity Connection with its messages", *always,
    )  # fmt: skip
    assert removal(replace(ZOE, extension="\\+44"), (), None).remains == (
        "the line +44, and whatever outside number leads to it", "the mailbox in Unity Connection, if there is one",
        *always,
    )  # fmt: skip
    assert len(removal(ZOE, devices[:20], False).remains) == 23
    many = removal(ZOE, devices, False).remains
    assert len(many) == 24
    assert many[20] == "2 more devices"

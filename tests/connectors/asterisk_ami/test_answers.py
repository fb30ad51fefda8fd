"""What is kept of an answer over AMI, fed as its lines come: no manager interface needed."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from connectors.asterisk_ami.answers import MAX_LINE, REFUSALS, Answer, Count, Events, Listing, Sections, Words
from connectors.errors import ProtocolViolation, SecretReadable

OK = ("Response: Success", "ActionID: f1")
Found = list[tuple[bytes, dict[bytes, list[bytes]]]]


def fed(answer: Answer, *lines: str | bytes, at_once: int = 1_000) -> Answer:
    """All of them, in pieces."""
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    at = 0
    while at < len(raw) and not answer.done:
        taken = answer.feed(raw[at : at + at_once], 0)
        assert taken, "it goes on"
        at += taken
    return answer


def keeping() -> tuple[Found, Sections]:
    found: Found = []

    def keep(name: bytes, lines: Mapping[bytes, list[bytes]]) -> None:
        found.append((name, dict(lines)))

    return found, Sections("f1", keep)


def test_an_answer_is_its_outcome() -> None:
    done = fed(Answer("f1"), *OK, "Message: Thanks", "")
    assert (done.done, done.refused, done.message) == (True, None, b"Thanks")
    assert not fed(Answer("f1"), *OK).done
    for line, refused in (("Response: Goodbye", None), ("Response: Error", "other")):
        assert fed(Answer("f1"), line, "ActionID: f1", "").refused == refused
    assert len(fed(Answer("f1"), *OK, f"Message: {'x' * 300}", "").message) == 200


@pytest.mark.parametrize(("said", "means"), [(words.decode(), means) for words, means in REFUSALS.items()])
def test_what_asterisk_says_when_it_does_not_do_a_thing(said: str, means: str) -> None:
    assert fed(Answer("f1"), "Response: Error", "ActionID: f1", f"Message: {said}", "").refused == means
    # A success is one whatever it says; but for that there is nothing of the kind.
    assert fed(Answer("f1"), *OK, f"Message: {said}", "").refused == ("none" if means == "none" else None)


def test_the_words_that_are_known() -> None:
    assert set(REFUSALS.values()) == {
        "denied", "login", "no-section", "not-as-it-was", "no-file", "bad-file", "restricted", "not-saved", "none",
    }  # fmt: skip
    for said, means in (
        ("Permission denied", "denied"), ("Authentication failed", "login"), ("No Contacts found", "none"),
        ("Given category does not exist", "no-section"), ("Config file not found", "no-file"),
        ("Update did not complete successfully", "not-as-it-was"), ("Save of config failed", "not-saved"),
        ("Config file not found or file has invalid syntax", "no-file"),
        ("Config file has invalid format", "bad-file"), ("File requires escalated privileges", "restricted"),
        ("There is no voicemail user of the given info.", "none"),
    ):  # fmt: skip
        assert REFUSALS[said.encode()] == means
    assert fed(Answer("f1"), "Response: Error", "ActionID: f1", "Message: CANARY", "").refused == "other"


@pytest.mark.parametrize(
    "lines",
    [("Response: Success", "ActionID: f2", ""), ("Response: Success", ""), ("Response: Maybe",), ("x",),
     ("Asterisk Call Manager/9",), ("Response: success",)],
)  # fmt: skip
def test_what_was_not_asked_is_no_answer(lines: tuple[str, ...]) -> None:
    with pytest.raises(ProtocolViolation):
        fed(Answer("f1"), *lines)


def test_events_between_are_passed_over_whatever_they_say() -> None:
    between = ("", "Event: PeerStatus", "ActionID: f2", "Response: Error", "x", "", "")
    for at_once in (1, 3, 100):
        answer = fed(Answer("f1"), *between, *OK, "", at_once=at_once)
        assert (answer.done, answer.refused) == (True, None)


def test_the_next_answer_is_left_to_whoever_asked_for_it() -> None:
    answer = Answer("f1")
    lines = [line.encode() for line in (*OK, "", "Response: Error", "ActionID: f2", "")]
    assert answer.feed(lines, 0) == 3
    assert (answer.done, answer.refused) == (True, None)
    assert answer.feed(lines, 3) == 3, "nothing is taken once it is whole"


def test_a_head_has_so_many_lines_and_not_one_more() -> None:
    assert fed(Answer("f1"), *OK, *["X: y"] * 1_999, "").done
    with pytest.raises(ProtocolViolation, match="too large"):
        fed(Answer("f1"), *OK, *["X: y"] * 2_000, "")


def test_an_answer_with_no_body_has_none() -> None:
    with pytest.raises(ProtocolViolation):
        Answer("f1").take(b"x")
    with pytest.raises(ProtocolViolation):
        Answer("f1")._body([b"x"], 0)


def test_of_what_is_permitted_the_names_before_the_colon() -> None:
    answer = Words("f1")
    fed(answer, *OK, "Ping: Keepalive (Priv: <none>)", "GetConfig: Retrieve", b"Zo\xff: x", "y" * 90 + ": z", "")
    assert answer.names == {"Ping", "GetConfig", "Zo\ufffd", "y" * 80}
    assert answer.done


def test_of_sections_of_another_file_how_many() -> None:
    answer = Count("f1")
    fed(answer, *OK, "Category-000000: a", "Category-000001: b", "Total: 2", "")
    assert (answer.count, answer.done) == (2, True)
    assert fed(Count("f1"), "Response: Error", "ActionID: f1", "Message: No categories found", "").refused == "other"


SECTION = (
    "Category-000000: 2001", "Templates-000000: phone", "Line-000000-000000: type=endpoint",
    'Line-000000-000001: callerid="Zoë" <2001>', "Line-000000-000002: aors=2001", "Line-000000-000003: aors=a=b",
    "Line-000000-000004: direct_media=no",
)  # fmt: skip


def test_of_a_section_the_wanted_lines_with_all_their_values() -> None:
    for at_once in (1, 4, 1_000):
        found, answer = keeping()
        fed(answer, *OK, *SECTION, "Category-000001: 2002", "Line-000001-000000: type=endpoint", "", at_once=at_once)
        assert answer.done
        assert found == [
            (b"2001", {b"type": [b"endpoint"], b"callerid": ['"Zoë" <2001>'.encode()], b"aors": [b"2001", b"a=b"]}),
            (b"2002", {b"type": [b"endpoint"]}),
        ]
    for key in ("mailboxes", "context", "auth"):
        found, answer = keeping()
        fed(answer, *OK, *SECTION[:3], f"Line-0-1: {key}=x", "")
        assert found[0][1][key.encode()] == [b"x"]


@pytest.mark.parametrize(
    "key",
    ["password", "md5_cred", "password_digest", "secret", "refresh_token", "oauth_secret", "inbound_auth/password",
     "outbound_auth/password", "PASSWORD", "Md5_Cred"],
)  # fmt: skip
@pytest.mark.parametrize("lead", ["Line-000000-000009: ", "Line-12345678-1: "])
def test_a_password_that_comes_all_the_same_ends_the_reading(key: str, lead: str) -> None:
    found, answer = keeping()
    with pytest.raises(SecretReadable) as caught:
        fed(answer, *OK, *SECTION, f"{lead}{key}=CANARY", "")
    assert "CANARY" not in f"{caught.value.message} {found} {vars(answer)}"


@pytest.mark.parametrize("kind", ["auth", "aor", ""])
def test_a_section_of_another_kind_ends_the_reading(kind: str) -> None:
    lines = [f"Line-000000-000000: type={kind}"] if kind else []
    for end in ((), ("Category-000001: b", "Line-000001-000000: type=endpoint")):
        found, answer = keeping()
        with pytest.raises(SecretReadable):
            fed(answer, *OK, "Category-000000: a", *lines, *end, "")
        assert found == []


def test_lines_before_any_section_and_a_refusal_are_nobodys() -> None:
    found, answer = keeping()
    fed(answer, "Response: Error", "ActionID: f1", "Message: Config file not found", "")
    assert (answer.done, answer.refused, found) == (True, "no-file", [])
    found, answer = keeping()
    fed(answer, *OK, "")
    assert (answer.done, found) == (True, [])


def test_a_name_has_so_many_lines_and_not_one_more() -> None:
    for count, fits in ((100, True), (101, False)):
        found, answer = keeping()
        lines = [*OK, *SECTION[:3], *["Line-000000-000001: aors=x"] * count, ""]
        if fits:
            assert len(dict(fed(answer, *lines) and found)[b"2001"][b"aors"]) == count
        else:
            with pytest.raises(ProtocolViolation, match="too large"):
                fed(answer, *lines)


# --- a directory of which the rest is kept packed


def directory(count: int) -> list[bytes]:
    lines = [line.encode() for line in OK]
    for n in range(count):
        lines += [b"Category-%06d: %d" % (n, n), b"Line-%06d-000000: type=endpoint" % n]
    return [*lines, b""]


@pytest.mark.parametrize("step", [1, 3, 700, 1 << 20])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 1_700])
def test_everybody_of_a_directory_comes_once_and_no_sooner_than_wanted(step: int, count: int) -> None:
    found: list[bytes] = []
    wanted = 2
    answer = Listing("f1", lambda name, _: found.append(name), lambda: len(found) >= wanted)
    lines = directory(count)
    at = answer.feed(lines, 0)
    rest: bytes | None = None
    if answer.whole:
        data = b"\r\n".join(lines[at:]) + b"\r\nNEXT"
        for start in range(0, len(data), step):
            rest = answer.take(data[start : start + step])
            if rest is not None:
                rest += data[start + step :]
                break
        assert rest == b"NEXT"
        assert len(found) < count
    assert answer.done
    assert answer.over == (not answer.whole and rest is None)
    for _ in range(5):
        if answer.over:
            break
        wanted += 500
        answer.more()
        assert len(found) <= max(wanted + 500, count)
    assert found == [b"%d" % n for n in range(count)]
    answer.more()
    assert len(found) == count


def test_a_packed_line_without_an_end_is_no_answer() -> None:
    wanted = 0
    answer = Listing("f1", lambda *_: None, lambda: wanted == 0)
    answer.feed(directory(0)[:2], 0)
    answer.feed([b"Category-000000: a"], 0)
    assert answer.whole
    endless = random.Random(1).randbytes(1 << 20).replace(b"\r", b"").replace(b"\n", b"")  # noqa: S311 - cannot be packed
    assert answer.take(endless) is None
    assert answer.take(b"\r\n\r\n") == b""
    wanted = 1
    with pytest.raises(ProtocolViolation, match="too large"):
        answer.more()


# --- lists of events


def events(keep: list[dict[bytes, bytes]], wanted: frozenset[bytes] = frozenset({b"Mailbox"})) -> Events:
    return Events("f1", b"VoicemailUserEntry", wanted, lambda fields: keep.append(dict(fields)))


START = (*OK, "EventList: start", "Message: A listing follows", "")
ENTRY = ("Event: VoicemailUserEntry", "ActionID: f1", "Mailbox: 1001", "Password: CANARY", "")
END = ("Event: VoicemailUserEntryComplete", "ActionID: f1", "EventList: Complete", "ListItems: 1", "")


@pytest.mark.parametrize("at_once", [1, 4, 1_000])
def test_of_a_list_the_fields_that_were_named_of_its_own_events(at_once: int) -> None:
    kept: list[dict[bytes, bytes]] = []
    other = (
        "Event: VoicemailUserEntry",
        "ActionID: f2",
        "Mailbox: 9",
        "",
        "Event: Other",
        "ActionID: f1",
        "Mailbox: 8",
        "",
    )
    answer = fed(events(kept), *START, *ENTRY, *other, "", *END, at_once=at_once)
    assert answer.done
    assert kept == [{b"Event": b"VoicemailUserEntry", b"ActionID": b"f1", b"Mailbox": b"1001"}]


def test_a_list_that_did_not_begin_has_no_events() -> None:
    kept: list[dict[bytes, bytes]] = []
    assert fed(events(kept), *OK, "").done
    refused = fed(events(kept), *OK, "EventList: start", "Message: No Contacts found", "")
    assert (refused.done, refused.refused) == (True, "none")
    assert not fed(events(kept), *OK, "EventList: START", "", *ENTRY).done
    assert fed(events(kept), *OK, "EventList: done", "").done
    assert fed(events(kept), *OK, "Other: start", "").done


def test_an_end_that_is_not_ours_ends_nothing_and_nobody_may_keep() -> None:
    kept: list[dict[bytes, bytes]] = []
    theirs = ("Event: X", "ActionID: f2", "EventList: Complete", "", "Event: Y", "EventList: Complete", "")
    assert not fed(events(kept), *START, *theirs).done
    assert fed(events(kept), *START, *theirs, *ENTRY, *END).done
    assert len(kept) == 1
    assert fed(Events("f1", b"VoicemailUserEntry", frozenset(), None), *START, *ENTRY, *END).done


def test_an_event_has_so_many_lines_and_not_one_more() -> None:
    kept: list[dict[bytes, bytes]] = []
    assert fed(events(kept), *START, *ENTRY[:-1], *["X: y"] * 196, "", *END).done
    for at_once in (1, 7, 1_000):
        with pytest.raises(ProtocolViolation, match="too large"):
            fed(events(kept), *START, *ENTRY[:-1], *["X: y"] * 197, "", *END, at_once=at_once)


def test_after_a_section_or_a_list_the_next_answer_is_left_to_whoever_asked_for_it() -> None:
    kept: list[dict[bytes, bytes]] = []
    for answer, lines in (
        (keeping()[1], [*OK, *SECTION, ""]), (events(kept), [*START, *ENTRY, *END]),
        (Listing("f1", lambda *_: None, lambda: False), [*OK, *SECTION, ""]),
    ):  # fmt: skip
        raw = [line.encode() for line in (*lines, "Response: Error", "ActionID: f2", "")]
        at = answer.feed(raw, 0)
        while not answer.done:
            at = answer.feed(raw, at)
        assert at == len(lines)
        assert not answer.whole


def test_each_event_has_as_many_lines_as_the_first() -> None:
    kept: list[dict[bytes, bytes]] = []
    full = [*ENTRY[:-1], *["X: y"] * 196, ""]
    assert fed(events(kept), *START, *full, *full, *END).done
    assert len(kept) == 2


def test_what_was_packed_is_no_more_to_come() -> None:
    answer = Listing("f1", lambda *_: None, lambda: True)
    lines = directory(2)
    at = answer.feed(lines, 0)
    assert answer.take(b"\r\n".join(lines[at:]) + b"\r\n") == b""
    assert (answer.whole, answer.done) == (False, True)
    assert MAX_LINE == 16 << 10

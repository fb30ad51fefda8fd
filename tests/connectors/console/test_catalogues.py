"""The reviewed catalogues: nothing outside them can be rendered, and each entry says what a reviewer has to know."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.console import (
    ASTERISK,
    AVAYA,
    FREEPBX,
    FREESWITCH,
    Class,
    Entry,
    OutputFilter,
    catalogue,
    complete,
    diagnostics,
    extras,
    find,
    only,
    parse,
    understood,
)
from connectors.console.asterisk import CHANNEL
from connectors.console.catalogues import markdown
from connectors.console.grammar import NAME, NUMBER, Slot
from connectors.console.others import CALL, GATEWAY, USER
from connectors.errors import InvalidValue
from connectors.operations import CONSOLE, Operation

ALL = {"asterisk": ASTERISK, "freepbx": FREEPBX, "freeswitch": FREESWITCH, "avaya": AVAYA}
ENTRIES = [
    pytest.param(entries, entry, id=f"{name}-{entry.name}") for name, entries in ALL.items() for entry in entries
]
# What each system's prompt would answer with secrets, or do what nobody reviewed.
REFUSED = {
    "asterisk": [
        "pjsip show auth 2001", "pjsip show auths", "pjsip list auths", "dialplan show", "dialplan show globals",
        "pjsip export config_wizard primitives", "voicemail show users for default", "realtime load a b c",
        "database show", "database del registrar/contact x", "config show help", "core show settings",
        "core show channels verbose", "core show channels concise", "core show channel PJSIP/2001-0000001a",
        "manager show user admin", "core restart now", "core stop now", "core stop gracefully", "module load x",
        "module unload res_pjsip.so", "module reload", "module reload manager.so", "pjsip send unregister *all",
        "channel request hangup all", "channel originate Local/1 application System", "!", "!id",
        "core show version !id",
        "pjsip reload", "cli reload permissions", "ari show users", "pjsip set logger on", "core set verbose 9",
    ],
    "freepbx": [
        "fwconsole setting", "fwconsole setting AMPDBPASS", "fwconsole mysql", "fwconsole userman", "fwconsole util",
        "fwconsole ma install x", "fwconsole ma", "fwconsole chown", "fwconsole notifications --delete a b",
        "fwconsole notifications", "fwconsole kvstore", "fwconsole unlock x", "fwconsole reload --verbose",
        "fwconsole ma list; id", "fwconsole stop", "fwconsole restart",
    ],
    "freeswitch": [
        "xml_locate directory", "user_data 2001@x.example param password", "list_users", "eval ${password}",
        "global_getvar default_password", "uuid_dump 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "system id", "bg_system id",
        "lua x.lua", "show channels", "sofia profile internal register all", "sofia profile internal unregister all",
        "sofia profile internal killgw x", "sofia profile internal flush_inbound_reg", "sofia profile internal stop",
        "sofia global siptrace on", "fsctl shutdown", "fsctl shutdown now", "originate user/2001 &park",
        "db select/x/y",
        "sofia xmlstatus profile internal", "/quit", "hupall",
    ],
    "avaya": [
        "display station 2001", "change station 2001", "remove station 2001", "add station 2001", "list login",
        "display login admin", "save translation", "reset system 4", "busyout station 2001", "status station",
        "status station 2001 print", "list station print", "display alarms ", "st sta 2001",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in REFUSED.items() for line in lines])
def test_what_was_not_reviewed_is_refused(name: str, line: str) -> None:
    assert find(line, ALL[name]) is None
    with pytest.raises(InvalidValue):
        parse(line, ALL[name])
    for kind in Class:
        with pytest.raises(InvalidValue):
            only(ALL[name], kind)("line", line)


@pytest.mark.parametrize(("entries", "entry"), ENTRIES)
def test_each_entry_renders_its_own_words(entries: tuple[Entry, ...], entry: Entry) -> None:
    found = find(entry.sample(), entries)
    assert found is not None
    assert found[0] is entry
    assert found[1].render() == entry.sample()
    assert found[1].acts == (entry.kind is Class.ACT)
    assert understood(entry.sample(), entries) == found
    only(entries, entry.kind)("line", entry.sample())
    for said in (entry.shows, entry.safe, entry.source):
        assert said.strip() == said != ""
    assert re.fullmatch(r"[a-z0-9_.-]+", entry.name), "it stands in events and in a list with spaces between"


@pytest.mark.parametrize(("entries", "entry"), ENTRIES)
def test_no_abbreviation_and_no_more_of_it_passes(entries: tuple[Entry, ...], entry: Entry) -> None:
    words = entry.sample().split(" ")
    for at, word in enumerate(entry.words):
        if isinstance(word, str) and len(word) > 1:
            shorter = [*words[:at], word[:-1], *words[at + 1 :]]
            found = find(" ".join(shorter), entries)
            assert found is None or found[0] is not entry
    for line in (f"{entry.sample()} ", f" {entry.sample()}", entry.sample().upper(), f"{entry.sample()}\n"):
        assert find(line, entries) is None
    for more in ("!id", "; id", "| sh", "$(id)", "-v"):
        assert find(f"{entry.sample()} {more}", entries) is None


_WORDS = sorted(
    {word for entries in ALL.values() for entry in entries for word in entry.sample().split(" ")}
    | {"!", ";id", "*all", "all", "auth", "auths", "-x", "--", "$(id)", "a b", "", "..", "verbose", "for", "é", "x\n"}
)


@given(
    st.sampled_from(sorted(ALL)),
    st.lists(st.sampled_from(_WORDS) | st.text(max_size=8), max_size=7).map(" ".join) | st.text(max_size=60),
)
def test_no_line_outside_a_catalogue_can_be_rendered(name: str, line: str) -> None:
    found = find(line, ALL[name])
    if found is None:
        return
    entry, command = found
    assert command.render() == line
    assert line.isascii()
    assert line.isprintable()
    for wanted, word in zip(entry.words, command.words, strict=True):
        if isinstance(wanted, Slot):
            assert wanted.takes(word)
            assert not word.startswith(("-", "!", "*", "$", "/"))
            assert not set(word) & set(" \t;|&<>`$(){}[]\\'\"*?!~#")
        else:
            assert word == wanted


@pytest.mark.parametrize(
    ("slot", "taken", "refused"),
    [
        (NAME, ["2001", "alice.wong", "a", "A_b-c", "x" * 64], ["", "-x", ".x", "x" * 65, "a b", "a;b", "é", "a\n"]),
        (NUMBER, ["1", "12345678"], ["", "123456789", "1a", "-1", "١"]),
        (GATEWAY, ["provider", "allow", "all.1", "ALL"], ["all", "-x", "", "*all"]),
        (CHANNEL, ["PJSIP/2001-0000001a", "SIP/a@b-ffffffff"],
         ["all", "PJSIP/2001", "PJSIP/2001-0000001A", "P/1-0000001a", "PJSIP/-0000001a", "PJSIP/2001-0000001a1"]),
        (USER, ["2001@x.example"], ["2001", "@x", "a@-x", "a@b@c", "a b@c"]),
        (CALL, ["0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"], ["0f1e2d3c", "0F1E2D3C-4b5a-6978-8796-a5b4c3d2e1f0", "all"]),
        (Slot("M", choices=("a", "b")), ["a", "b"], ["c", "", "a|b", "M"]),
    ],
)  # fmt: skip
def test_a_slot_takes_what_it_says_and_no_more(slot: Slot, taken: list[str], refused: list[str]) -> None:
    assert [word for word in taken if not slot.takes(word)] == []
    assert [word for word in refused if slot.takes(word)] == []
    assert slot.takes(slot.sample()) or not slot.sample()


def test_a_line_is_at_most_two_hundred_characters() -> None:
    long = (Entry(Class.LOOK, ("x", Slot("ANY", "a+")), "does", "safe", "source"),)
    assert find("x " + "a" * 198, long) is not None
    assert find("x " + "a" * 199, long) is None
    assert find("x a\x7f", long) is None


def test_a_guard_takes_text_of_its_class_alone() -> None:
    look = only(ASTERISK, Class.LOOK)
    look("line", "core show version")
    for value in (None, 7, b"core show version", ["core", "show", "version"], "dialplan reload", "core show  version"):
        with pytest.raises(InvalidValue, match="line is not on the list of look commands"):
            look("line", value)
    with pytest.raises(InvalidValue, match="list of act commands"):
        only(ASTERISK, Class.ACT)("line", "core show version")


def test_what_stays_off_and_what_diag_offers() -> None:
    assert set(extras("lab")) == {
        "queue-show", "queue-show-x", "core-reload", "channel-request-hangup-x", "core-restart-gracefully",
        "core-abort-shutdown",
    }  # fmt: skip
    assert all(entry.extra for entry in extras("freepbx").values())
    assert extras("nothing") == {}
    assert all(entry.kind is Class.LOOK and not entry.extra for entry in diagnostics("lab"))
    assert "pjsip qualify NAME" not in [entry.usage() for entry in diagnostics("lab")]
    assert len(diagnostics("lab")) == len(catalogue("lab", Class.LOOK)) - 2
    assert catalogue("lab", Class.ACT) == tuple(entry for entry in ASTERISK if entry.kind is Class.ACT)
    assert not [entry for entry in AVAYA if entry.kind is Class.ACT]
    assert {kind.operation for kind in Class} == CONSOLE - {Operation.DIAG}


def test_names_are_each_entry_s_own() -> None:
    for entries in ALL.values():
        assert len({entry.name for entry in entries}) == len(entries)
    assert parse("pjsip show endpoint 2001", ASTERISK).entry == "pjsip-show-endpoint-x"
    assert parse("fwconsole notifications --list", FREEPBX).entry == "fwconsole-notifications-list"


def test_help_names_slots_and_choices() -> None:
    usages = [entry.usage() for entry in FREEPBX]
    assert "pjsip show endpoint NAME" in usages
    assert "module reload res_pjsip.so|app_voicemail.so|pbx_config.so|app_queue.so" in usages


def test_a_refusal_says_what_shows_the_list() -> None:
    with pytest.raises(InvalidValue) as caught:
        understood("pjsip show endpionts", ASTERISK, "`help`")
    assert caught.value.next_step == "Did you mean `pjsip show endpoints`? `help` shows the list."
    with pytest.raises(InvalidValue) as caught:
        understood("zzzz" * 100, ASTERISK, "`help`")
    assert caught.value.next_step == "`help` shows the list."


def test_completion_offers_only_what_leads_somewhere() -> None:
    assert complete("", AVAYA) == ("display", "list", "status")
    assert complete("status tr", AVAYA) == ("trunk",)
    assert complete("status trunk x y", AVAYA) == ()
    assert complete("sofia profile external ", FREESWITCH) == (
        "flush_inbound_reg", "register", "rescan", "restart", "unregister",
    )  # fmt: skip


def test_fields_that_an_entry_withholds() -> None:
    strainer = OutputFilter(fields=("set_var",))
    out = strainer.feed(b" set_var                            : PIN=CANARY-1\n SET_VAR=CANARY-2\n my_set_var : shown\n")
    assert out == b" set_var                            : (withheld)\n SET_VAR=(withheld)\n my_set_var : shown\n"
    assert OutputFilter(fields=("a.c",)).feed(b"abc: shown\na.c: CANARY\n") == b"abc: shown\na.c: (withheld)\n"
    (entry,) = [entry for entry in ASTERISK if entry.name == "pjsip-show-endpoint-x"]
    assert entry.withheld == ("set_var",)


def test_the_table_has_a_line_for_each_entry() -> None:
    told = markdown()
    for entry in (*FREEPBX, *FREESWITCH, *AVAYA):
        row = [line for line in told.splitlines() if f"| `{entry.usage().replace('|', chr(92) + '|')}` |" in line]
        assert len(row) == 1
        assert row[0].startswith(f"| {entry.kind.value}{', off until switched on' if entry.extra else ''} |")
        assert row[0].count("|") - row[0].count("\\|") == 6
    assert "withheld: `set_var`" in told


def test_help_has_a_word_for_each_slot() -> None:
    assert "status station NUMBER" in [entry.usage() for entry in AVAYA]
    assert Slot("M", choices=("only",)).sample() == "only"
    assert all(slot.shown() for slot in (NAME, NUMBER, GATEWAY, CHANNEL, USER, CALL))


def test_each_of_several_fields_is_withheld_and_what_looks_like_two_of_them_is_not() -> None:
    strainer = OutputFilter(fields=("one", "two"))
    assert strainer.feed(b"one: a\ntwo: b\nonetwo: c\n") == b"one: (withheld)\ntwo: (withheld)\nonetwo: c\n"


def test_what_erases_a_character_goes_too() -> None:
    assert OutputFilter().feed(b"a\x7fb\n") == b"ab\n"


def test_after_a_line_that_was_too_long_the_next_is_shown_however_it_comes() -> None:
    strainer = OutputFilter()
    assert b"left out" in strainer.feed(b"x" * 9000)
    assert strainer.feed(b"x\n") == b""
    assert strainer.feed(b"shown") == b""
    assert strainer.feed(b" too\n") == b"shown too\n"
    assert strainer.feed(b"tail") + strainer.flush() == b"tail"
    assert strainer.feed(b"once more\n") == b"once more\n"


def test_a_line_with_everything_in_it_is_looked_at_all_the_same() -> None:
    words = "pass pwd secret cred digest token auth_pass authorization authenticate key pin disa senddtmf agentlogin"
    out = OutputFilter().feed(f"{words} password: CANARY-1\n".encode())
    assert b"CANARY" not in out
    assert out.startswith(b"pass pwd")

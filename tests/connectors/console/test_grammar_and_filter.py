"""Only what was reviewed is sent; nothing secret and nothing that moves a terminal comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.console import ASTERISK, FREESWITCH, Class, OutputFilter, catalogue, complete, only, parse
from connectors.errors import InvalidValue

REFUSED = [
    "pjsip show auth 1001",
    "pjsip show auths",
    "pjsip list auths",
    "dialplan show",
    "dialplan show globals",
    "dialplan show internal",
    "pjsip export config_wizard primitives",
    "voicemail show users for default",
    "voicemail show mailbox 1001@default",
    "realtime load x y z",
    "database show",
    "config show",
    "core show settings",
    "core show channel PJSIP/1001-00000001",
    "manager show user admin",
    "core restart now",
    "module load x",
    "!",
    "!cat /etc/asterisk/pjsip.conf",
    "core show version !sh",
    "pjsip show endpoint like .",
    "pjsip show endpoint",
    "pjsip show endpoint 1001;id",
    "pjsip show endpoint 1001 1002",
    "pjsip show endpoint ../../x",
    "pjsip show endpoint -x",
    "pjsip show endpoint $(id)",
    "pj show endpoints",
    "pjsip sh endpoints",
    "pjsip show a",
    "pjsip show endp 1001",
    "sip show peers",
    "CORE SHOW VERSION",
    "core  show version",
    "core show version",
    " core show version",
    "core show version\x00",
    "core show version\x1b[A",
    "core\tshow version",
    "core show veѕsion",
    "pjsip show endpoint ١٠",
]
REFUSED[REFUSED.index("core show version")] = "core show version\n"


@pytest.mark.parametrize("line", [*REFUSED, "", " ", "x" * 10_000_000])
def test_what_is_not_on_the_list_is_refused(line: str) -> None:
    with pytest.raises(InvalidValue):
        parse(line, ASTERISK)


@pytest.mark.parametrize("entry", ASTERISK, ids=lambda entry: entry.name)
def test_what_is_on_the_list_renders_to_the_same_words(entry) -> None:  # type: ignore[no-untyped-def]
    line = entry.sample()
    assert parse(line, ASTERISK).render() == line
    assert parse(line, ASTERISK).entry == entry.name
    only(ASTERISK, entry.kind)("line", line)
    with pytest.raises(InvalidValue):
        only(ASTERISK, Class.ACT if entry.kind is Class.LOOK else Class.LOOK)("line", line)


@given(
    st.text(max_size=40) | st.lists(st.sampled_from(["pjsip", "show", "auth", "endpoint", "x", "!", " "])).map(" ".join)
)
def test_whatever_parses_is_fixed_words_and_one_plain_name(line: str) -> None:
    try:
        command = parse(line, ASTERISK)
    except InvalidValue:
        return
    assert command.render() == line
    assert "auth" not in command.words[:3]
    assert command.entry in {entry.name for entry in ASTERISK}


def test_the_refusal_names_the_nearest() -> None:
    with pytest.raises(InvalidValue) as caught:
        parse("pjsip show endpionts", ASTERISK)
    assert "`pjsip show endpoints`" in caught.value.next_step


def test_completion_is_local_and_complete() -> None:
    assert complete("c", ASTERISK) == ("channel", "core")
    assert complete("pjsip show endpoint", ASTERISK) == ("endpoint", "endpoints")
    assert complete("pjsip show endpoint ", ASTERISK) == ()
    assert complete("pjsip show a", ASTERISK) == ("aors",)
    assert complete("module reload ", ASTERISK) == (
        "app_queue.so", "app_voicemail.so", "pbx_config.so", "res_pjsip.so",
    )  # fmt: skip
    assert complete("sofia status profile inter r", FREESWITCH) == ("reg",)
    assert complete("sofia status profile -x r", FREESWITCH) == ()
    assert complete("nothing ", ASTERISK) == ()
    assert complete("pjsip show endpoints more", ASTERISK) == ()


def test_a_family_without_a_console_has_no_catalogue() -> None:
    assert catalogue("lab") is ASTERISK
    assert catalogue("asterisk-ami") == (), "its right to send commands would print every password"
    assert catalogue("asterisk-realtime") == (), "a database has no prompt"
    assert catalogue("other") == ()


SPLIT = (
    "plain\n password : CANARY-1\r\n\x1b[31mred\x1b[0m \x1b]0;title\x07ok\n"
    "pass\x1b[1mword: CANARY-2\nmd5_cred => CANARY-3\nZoë \x1b[2Jname\x9b2J\n\x1bPdcs\x1b\\after\n"
    'Authenticate(CANARY-4)\n"password": "CANARY-5"\ntail PIN: CANARY-6'
).encode()
SHOWN = (
    "plain\n password : (withheld)\r\n\x1b[31mred\x1b[0m ok\n"
    "password: (withheld)\nmd5_cred => (withheld)\nZoë name\nafter\n"
    'Authenticate((withheld))\n"password": (withheld)\ntail PIN: (withheld)'
).encode()


def test_every_split_gives_the_same() -> None:
    for first in range(len(SPLIT) + 1):
        strainer = OutputFilter()
        assert strainer.feed(SPLIT[:first]) + strainer.feed(SPLIT[first:]) + strainer.flush() == SHOWN, first
    strainer = OutputFilter()
    assert b"".join(strainer.feed(SPLIT[i : i + 1]) for i in range(len(SPLIT))) + strainer.flush() == SHOWN


@given(
    st.lists(
        st.sampled_from(
            [b"\x1b", b"[", b"2J", b"]0;", b"m", b"31", b"\x07", b"\x9b", b"\xc2", b"\\", b"P", b"\n", b"\r"]
        )
        | st.binary(max_size=3)
    ).map(b"".join),
    st.integers(0, 60),
)
def test_no_terminal_command_but_colour_gets_through(data: bytes, at: int) -> None:
    whole, split = OutputFilter(), OutputFilter()
    expected = whole.feed(data) + whole.flush()
    assert split.feed(data[:at]) + split.feed(data[at:]) + split.flush() == expected
    import re

    rest = re.sub(r"\x1b\[[0-9;:]*m", "", expected.decode())
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", rest)
    assert "\r" not in rest.replace("\r\n", "\n").removesuffix("\r")


@pytest.mark.parametrize("length", [8180, 8191, 8192, 8193, 9000, 70_000])
@pytest.mark.parametrize("step", [1000, 8192, 100_000])
def test_a_line_without_end_cannot_carry_a_secret_past(length: int, step: int) -> None:
    data = b"x" * length + b"password: CANARY-" + b"7" * 50 + b"\nnext\n"
    strainer = OutputFilter()
    out = b"".join(strainer.feed(data[i : i + step]) for i in range(0, len(data), step)) + strainer.flush()
    assert b"777" not in out
    assert out.endswith(b"\nnext\n")
    assert out.count(b"\n") == 2


def test_known_values_never_pass_wherever_they_stand() -> None:
    strainer = OutputFilter(["226279", "hunter-22"])
    out = b"".join(strainer.feed(bytes([b])) for b in b"a 226279 b\nhun\x1b[1mter-22\nend") + strainer.flush()
    assert out == b"a (withheld) b\n(withheld)\nend"


def test_where_names_are_listed_no_other_field_shows_its_value() -> None:
    strainer = OutputFilter(shown=("auth", "context"))
    lines = b" auth      : 2001\n PIN       : 2262\r\n A : auth  : 2262\n \x1b[1mPIN\x1b[0m : 2262\n"
    lines += b" context : a : b\n Aor:  1\nChannel: 7 state : up\n"
    out = strainer.feed(lines) + strainer.flush()
    assert b"2262" not in out
    assert out.startswith(b" auth      : 2001\n PIN       : (withheld)\r\n A : (withheld)\n")
    assert out.endswith(b" context : a : b\n Aor:  1\nChannel: 7 state : up\n"), "no field of that list"


def test_ordinary_output_is_left_as_it_is() -> None:
    lines = b"     InAuth:  2001/2001\n auth                               : 2001\n aors : 2001\n Mapping: yes\n\ttab\n"
    strainer = OutputFilter()
    assert strainer.feed(lines) == lines


@pytest.mark.parametrize(
    "field",
    [
        "password", "passwd", "passphrase", "passcode", "pass", "pwd", "secret", "md5_cred", "auth_digest", "token",
        "refresh_token", "auth_pass", "authorization", "authenticate", "private_key", "privatekey", "api_key", "apikey",
        "pin", "PIN", "Secret", "TOKEN", "Pwd", "Authorization", "VMPIN", "userpin", "AUTHPIN",
    ],
)  # fmt: skip
def test_each_field_that_holds_a_secret_is_withheld_on_a_line_of_its_own(field: str) -> None:
    for shape in ("{}: CANARY-1", "{} = CANARY-1", "{}=CANARY-1", "{} => CANARY-1", '"{}": "CANARY-1"'):
        strainer = OutputFilter()
        out = strainer.feed(f"{shape.format(field)}\n".encode()) + strainer.flush()
        assert b"CANARY" not in out, (shape, field)
        assert field.encode() in out


@pytest.mark.parametrize(
    "call", [
        "Authenticate", "VMAuthenticate", "DISA", "SendDTMF", "AgentLogin", "senddtmf", "disa", "MeetMe", "SayDigits",
        "SayAlpha", "Macro", "Gosub", "Set", "MSet",
    ]
)  # fmt: skip
def test_each_application_whose_argument_is_a_pin_is_withheld_on_a_line_of_its_own(call: str) -> None:
    strainer = OutputFilter()
    out = strainer.feed(f"SIP/2001 {call}(226279) Up\n".encode()) + strainer.flush()
    assert b"226279" not in out
    assert call.encode() in out


@pytest.mark.parametrize("call", ["MeetMe(800, dq, 226279)", "Gosub(ask,s,1(226279))", "Authenticate(1,a,226279"])
def test_of_several_arguments_none_is_shown_however_they_are_set_and_wherever_the_column_ends(call: str) -> None:
    strainer = OutputFilter()
    assert b"226279" not in strainer.feed(f"PJSIP/2001-0000001a s@pins:3 Up {call}\n".encode()) + strainer.flush()


def test_of_two_known_values_the_longer_goes_whole() -> None:
    strainer = OutputFilter(["2262", "2262-tail"])
    assert strainer.feed(b"a 2262-tail b\n") == b"a (withheld) b\n"


def test_a_harmless_line_that_is_too_long_is_left_out_whole_and_not_kept() -> None:
    strainer = OutputFilter()
    assert strainer.feed(b"x" * 9000 + b"\nnext\n") == b"(a line that was too long was left out)\nnext\n"
    strainer = OutputFilter()
    for _ in range(1000):
        strainer.feed(b"x" * 10_000)
    assert len(strainer._held) <= 8192, "memory must not grow with a line that never ends"


@given(st.lists(st.integers(0, 3).map(lambda n: n * 4096) | st.integers(8190, 8195), max_size=8), st.booleans())
def test_a_long_line_is_left_out_wherever_it_stands_and_no_other(lengths: list[int], cut_short: bool) -> None:
    lines = [b"x" * length for length in lengths]
    data = b"".join(line + b"\n" for line in lines).removesuffix(b"\n" if cut_short else b"")
    strainer = OutputFilter()
    shown = strainer.feed(data) + strainer.flush()
    expected = [line if len(line) <= 8192 else b"(a line that was too long was left out)" for line in lines]
    assert shown.split(b"\n")[: len(lines)] == (expected or [b""])[: len(lines)]


def test_output_that_holds_every_word_that_is_looked_for_is_looked_at() -> None:
    words = b"pass pwd secret cred digest token auth_pass authorization authenticate key pin disa senddtmf agentlogin"
    more = b" meetme saydigits sayalpha macro gosub set\n"
    assert b"CANARY" not in OutputFilter().feed(words + more + b"password: CANARY\n")

"""Diagnostics: only what was reviewed is sent, and nothing of a secret comes back, wherever the output is split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.console import ASTERISK, OutputFilter, parse
from connectors.errors import InvalidValue

REFUSED = [
    "pjsip show auth 2001", "pjsip show auths", "dialplan show", "dialplan show globals", "pjsip export config_wizard",
    "voicemail show users for default", "realtime load x y z", "database show", "!ls", "core show version; !ls",
    "core show version\n!ls", "core  show version", "CORE SHOW VERSION", "pj sh endpoints", "pjsip show e",
    "pjsip show endpoint 2001 ", "pjsip show endpoint", "pjsip show endpoint a b", "pjsip show endpoint ../x",
    "pjsip show endpoint $(x)", "pjsip show endpoint -v", "manager show user admin", "", " ", "\x1b[A", "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_not_on_the_list_is_refused(line: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(line, ASTERISK)
    assert "diag" in caught.value.next_step


@pytest.mark.parametrize("entry", ASTERISK, ids=lambda e: e.name)
def test_what_is_on_the_list_is_rendered_again(entry) -> None:
    line = entry.sample()
    command = parse(line, ASTERISK)
    assert (command.render(), command.entry) == (line, entry.name)


@given(st.text(max_size=60))
def test_whatever_is_sent_is_plain_words(line: str) -> None:
    try:
        command = parse(line, ASTERISK)
    except InvalidValue as error:
        assert error.code == "invalid-value"
        return
    assert command.render() == line
    assert line.isascii()
    assert line.isprintable()


SECRET = b"CANARY-sip-1001-7f3"
OUTPUT = (
    b"\x1b]0;owned\x07 auth_type                : userpass\r\n password                 : " + SECRET + b"\r\n"
    b" md5_cred => "
    + SECRET
    + b"\n\x1bP1$r"
    + b"q\x1b\\ secret="
    + SECRET
    + b"\n\x9b31m plain \x1b[31mred\x1b[0m \x1b[2Jend"
)


def test_no_split_lets_a_secret_through() -> None:
    whole = OutputFilter()
    wanted = whole.feed(OUTPUT) + whole.flush()
    for first in range(len(OUTPUT)):
        strainer = OutputFilter()
        shown = strainer.feed(OUTPUT[:first]) + strainer.feed(OUTPUT[first:]) + strainer.flush()
        assert shown == wanted
    assert SECRET not in wanted
    assert b"owned" not in wanted
    assert b"\x1b[2J" not in wanted
    assert b"\x1b[31mred" in wanted
    assert b"userpass" in wanted


def test_a_line_without_end_is_bounded() -> None:
    strainer = OutputFilter()
    shown = b"".join(strainer.feed(b"x" * 4096) for _ in range(100)) + strainer.flush()
    assert len(shown) < 20_000
    assert b"left out" in shown

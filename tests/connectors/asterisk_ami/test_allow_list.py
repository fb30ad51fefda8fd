"""What is not on the list cannot be expressed, whatever the values: read back from the bytes that would be sent."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.asterisk_ami import actions
from connectors.asterisk_ami.actions import GUARD, CallerId, comparable, render
from connectors.errors import ConnectorError, InvalidValue, RequestNotAllowed
from connectors.guard import Guard, Template

TEMPLATES = sorted(GUARD._templates)
NASTY = [
    "1001",
    "a\r\nAction: Command",
    "x;y",
    "#exec",
    ">x",
    "a,b",
    'a"b',
    "*",
    "[x]",
    "",
    " ",
    "é",
    "a" * 400,
    "\x00",
]
TEXT = st.one_of(st.sampled_from(NASTY), st.text(max_size=12), st.from_regex(r"[A-Za-z0-9.@-]{1,20}", fullmatch=True))
CALLERIDS = st.builds(
    CallerId, TEXT, TEXT, st.one_of(TEXT, st.builds(lambda n: f'"{n}" <1>', TEXT)),
    st.sampled_from(["one", "none", "several", "else"]),
)  # fmt: skip
VALUE = st.one_of(
    TEXT, st.lists(TEXT, max_size=4).map(tuple), st.lists(CALLERIDS, max_size=20).map(tuple), st.none(), st.integers()
)
READS = {
    "Login", "Ping", "Logoff", "ListCommands", "ListCategories", "GetConfig", "VoicemailUsersList",
    "VoicemailUserStatus", "PJSIPShowContacts",
}  # fmt: skip
VARS = {"callerid", "password", "md5_cred", "password_digest", "auth_type"}


def well_formed(data: bytes) -> dict[str, str]:
    """The headers as Asterisk reads them. Fails for anything that is not on the list."""
    assert data.endswith(b"\r\n\r\n")
    lines = data[:-4].split(b"\r\n")
    assert len(lines) <= 128
    assert all(line and len(line) <= 1022 and not re.search(rb"[\x00-\x1f]", line) for line in lines)
    pairs = [line.decode().split(": ", 1) for line in lines]
    headers = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    assert len(headers) == len(lines), "no header twice: Asterisk would take the first"
    action = headers["Action"]
    if action == "GetConfig":
        assert headers["Filename"] == "pjsip.conf"
        assert headers["Filter"] == "type=endpoint"
        assert headers.get("Category", "x"), "an empty one would be none"
    elif action == "ListCategories":
        assert headers["Filename"] == "pjsip_wizard.conf"
    elif action == "UpdateConfig":
        _update(headers)
    else:
        assert action in READS
    return headers


def _update(headers: dict[str, str]) -> None:
    file = headers["SrcFilename"]
    assert headers["DstFilename"] == file
    module = {"pjsip.conf": "res_pjsip.so", "voicemail.conf": "app_voicemail.so"}[file]
    assert headers["Reload"] == module
    numbers = sorted(key[7:] for key in headers if key.startswith("Action-"))
    assert numbers == [f"{n:06d}" for n in range(len(numbers))]
    for number in numbers:
        action = headers[f"Action-{number}"]
        value = headers.get(f"Value-{number}", "x")
        assert not re.match(r"[#>]", value)
        assert ";" not in value
        if file == "pjsip.conf":
            assert headers[f"Options-{number}"] in {f'catfilter="type={k}"' for k in ("endpoint", "auth", "aor")}
            if action == "delcat":
                continue
            var = headers[f"Var-{number}"]
            kind = "endpoint" if var == "callerid" else "auth"
            assert headers[f"Options-{number}"] == f'catfilter="type={kind}"'
            assert var in VARS
        else:
            assert action in ("update", "delete")
            assert re.fullmatch(r"[A-Za-z0-9_.*#+-]+", headers[f"Var-{number}"])
            assert action == "delete" or re.match(r"([0-9]{4,16}|-)(,|$)", value)


EXAMPLES: dict[str, dict[str, object]] = {
    "login": {"login": "frameroom", "secret": "a b: c"}, "ping": {}, "logoff": {}, "commands": {}, "wizards": {},
    "endpoints": {}, "endpoint": {"id": "alice.wong"}, "mailboxes": {}, "contacts": {},
    "mailbox": {"context": "default", "mailbox": "1001"},
    "set-callerids": {
        "callerids": (CallerId("1", "x", '"Zoë" <1>', "one"), CallerId("2", "", "Zoë <2>", "several"))
    },
    "set-secret": {"auths": ("1-auth", "2"), "secret": "Kx7mQ2vTz9LpR4wNc8Hd"},
    "put-secret": {"auth": "1-auth", "forms": actions.FORMS[0], "secret": "Kx7mQ2vTz9LpR4wNc8Hd"},
    "remove-accounts": {"endpoints": ("1", "1-m"), "auths": ("1",), "aors": ()},
    "set-mailbox": {
        "context": "default", "mailbox": "1", "pin": "1234", "name": "", "email": "", "pager": "",
        "options": ("attach=yes", "tz=uk"),
    },
    "remove-mailbox": {"context": "default", "mailbox": "1"},
}  # fmt: skip


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(TEMPLATES), st.integers(0, 6), VALUE, VALUE)
def test_whatever_the_values_only_what_is_on_the_list_comes_out(
    name: str, which: int, one: object, other: object
) -> None:
    """One field of values that pass, or two, is anything."""
    values = dict(EXAMPLES[name])
    for place, value in ((which, one), (which // 2, other)):
        if place < len(values):
            values[list(values)[place]] = value
    try:
        made = render(GUARD.render(name, **values), "f1")
    except ConnectorError:
        return
    well_formed(made)


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_one_has_its_bytes(name: str) -> None:
    well_formed(render(GUARD.render(name, **EXAMPLES[name]), "f1"))


@given(st.text(max_size=20))
def test_no_action_has_another_name(name: str) -> None:
    if name not in TEMPLATES:
        with pytest.raises(RequestNotAllowed):
            GUARD.render(name)


def test_anothers_request_has_no_bytes() -> None:
    other = Guard(Template("ping", False), Template("Command", True))
    for request in (other.render("ping"), other.render("Command")):
        with pytest.raises(RequestNotAllowed):
            render(request, "f1")


@pytest.mark.parametrize("pin", ["12", "1234;", "12,34", "a1234", "1" * 17, "1234\n", None, 1234, ""])
def test_a_pin_that_is_none_is_not_told(pin: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        GUARD.render("set-mailbox", context="default", mailbox="1", pin=pin, name="", email="", pager="", options=())
    assert not pin or str(pin) not in caught.value.message


@pytest.mark.parametrize("bad", ["", "a\x85b", "a\r\nAction: Command", "a\u2028b", "a" * 257, "a\x00", None])
def test_a_secret_of_the_account_that_would_end_a_line(bad: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        GUARD.render("login", login="frameroom", secret=bad)
    assert not bad or str(bad) not in caught.value.message


@pytest.mark.parametrize(
    "option",
    ["attach=yes|x=y", "attach", "a=b;c", "tz=a,b", "tz=\r\nX: y", "Tz=uk", "tz=", "tz=u\x85k", "tz=\u2028", 3],
)
def test_options_that_would_be_another(option: object) -> None:
    with pytest.raises(InvalidValue):
        GUARD.render("set-mailbox", context="default", mailbox="1", pin="1234", name="", email="", pager="",
                     options=(option,))  # fmt: skip


def test_more_than_asterisk_takes_is_not_sent() -> None:
    many = tuple(f"user{n}" for n in range(16))
    with pytest.raises(InvalidValue, match="nothing was sent"):
        render(GUARD.render("remove-accounts", endpoints=many, auths=many, aors=many), "f1")
    with pytest.raises(InvalidValue):
        GUARD.render("set-secret", auths=many, secret="x" * 20)


@given(st.text(max_size=30))
def test_what_is_compared_holds_nothing_but_a_value(was: str) -> None:
    kept = comparable(was)
    assert kept in ("", was)
    assert not re.search(r"[;\\\r\n]", kept)


def test_the_limits_are_asterisks() -> None:
    assert (actions.MAX_HEADERS, actions.MAX_LINE) == (128, 1022)

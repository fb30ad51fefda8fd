"""A few people out of many, on files as somebody's hand may have written them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.asterisk_files import frameroom_helper as helper

from .test_sieve import IDS, conf, everybody, page, person, written

WORDS = ("secret77", "Zoe", "Bell", "12345", "Müller", "x;y", "pin99999", "Ann Bell", "other-word", "more-words")
OTHERS = (
    "auth", "aors", "password", "md5_cred", "refresh_token", "callerid_privacy", "message_context",
    "inbound_auth/password", "oauth_secret", "password_digest", "username",
)  # fmt: skip
ODD_OPTIONS = ("(E)", "(+)", "(100)", "(", "(e", "(+type=endpoint)", "(later)", "(e,,f)", " (e)")
PIECES = (
    "#include more.conf\n", ' #tryinclude "no*.conf" ; x\n', "#exec /bin/true\n", ";-- a --;\n", ";--\n", "[broken\n",
    "#include\n", "x" * 8191 + "\n", ";" + "x" * 8191 + "\n", "loose = entry\n", "[a;b]\n", "[]\n", "[later](!)\n",
    "# include <more.conf>\n", "#include more.conf",
)  # fmt: skip
APPS = (
    "Goto(internal,{0},1)", "Goto(internal,{0},1)", "Goto({0},1)", "NoOp()", "Dial(PJSIP/{0}&PJSIP/{1},20)",
    "dial( SIP/{0} )",
    "Goto(staff, {0} ,1)", "Dial(PJSIP/{0})", "Goto(from-trunk,{0},1)", "Hangup", "GotoIf($[1]?{0})",
    "Dial(PJSIP/{0}/sip:{1})",
)  # fmt: skip
NAMES = ("Zoe", "Ann Bell", "secret77", "Zoë Müller", "12345", "pin99999 x", "a=b", "SECRET77")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also files as small as these, and of them no more lines at once than must be."""
    monkeypatch.setattr(helper, "SIFTED_FROM", 0)
    monkeypatch.setattr(helper, "SPARE", 0)


class Hand:
    """Writes files: mostly as people do, and with `oddity` as hardly anybody would."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret is made of it
        self._pick = self._random.choice
        self.oddity = self._pick([0.0, 0.0, 0.02, 0.1])
        self._callers = [self._caller() for _ in range(self._random.randint(1, 6))]
        self._ids = self._random.sample(IDS, self._random.randint(2, len(IDS)))

    def _odd(self, usual: str, *odd: str) -> str:
        return self._pick(odd) if self._random.random() < self.oddity else usual

    def _many(self, make: Callable[[], str], most: int) -> str:
        return "".join(make() for _ in range(self._random.randint(0, most)))

    def _line(self, key: str, value: str) -> str:
        equals = self._odd(self._pick(["=", " = ", "=>", " => "]), " += ", "+=", "\t=\t", "=>>", "")
        end = self._odd(
            self._pick(["", "", "", " ; why", ";x", "\r"]), " \\; x", "\n;-----", "\n;-- x --;", " ;-- x --;"
        )
        return (
            self._odd("", " ", "\t", "\f")
            + self._odd(key, key.upper(), f"x{key}", f"{key} x")
            + equals
            + value
            + end
            + "\n"
        )

    def _caller(self) -> str:
        form = self._pick(
            ['"{0}" <{1}>', '"{0}" <{1}>', '"{0}" <{1}>', "{0} <{1}>", "<{1}>", "{1}", "{0}", "", '"{0}"']
        )
        return form.format(self._pick(NAMES), self._pick(IDS))

    def _value(self, key: str) -> str:
        if key in ("callerid", "endpoint/callerid"):
            return self._pick(self._callers)
        if "mailboxes" in key:
            box = self._pick(self._ids)
            return self._odd(self._pick([box, box, f"{box}@default", f"{box}@other", f"{box}, 101", "B1"]), "a;b", "b1")
        if "context" in key:
            return self._odd(self._pick(["internal"] * 4 + ["from-trunk", "Internal", "staff"]), "a b", "", "a=b")
        if key == "type":
            return self._pick(["endpoint", "endpoint", "auth", "wizard"])
        if key in ("auth", "aors"):
            return self._pick(self._ids)
        return self._pick(WORDS)

    def _section(self, wizard: bool) -> str:
        title = self._odd(self._pick(self._ids), "a;b", "", "x y", "[")
        options = self._odd(self._pick(["(e)"] * 30 + ["", "(f)", "(e,f)", "(!)", "(!,f)"]), *ODD_OPTIONS)
        lead = "endpoint/" if wizard else ""
        keys = [
            lead + key for key in self._random.sample(("callerid", "mailboxes", "context"), self._random.randint(0, 3))
        ]
        keys += self._random.sample(OTHERS, self._random.randint(0, 2))
        keys += self._pick([[], [], ["type"]])
        body = "".join(self._line(key, self._value(key)) for key in keys)
        return self._odd("", " ", "\f") + f"[{title}]{options}" + self._odd("", " ; why", "\r", ";x") + "\n" + body

    def accounts(self, wizard: bool = False) -> str:
        """pjsip.conf, or pjsip_wizard.conf."""
        kind = "wizard" if wizard else "endpoint"
        head = self._odd(
            f"[e](!)\ntype={kind}\ncontext=internal\n[f](!)\ntype=auth\npassword=secret77\n", "", "x=y\n", "; hello\n"
        )
        if self._random.random() < 0.03:
            head += self._line("callerid", "Zoe <100>") + self._line("mailboxes", "100")
        return head + self._many(lambda: self._odd(self._section(wizard), *PIECES), 16)

    def voicemail(self) -> str:
        """voicemail.conf."""

        def line() -> str:
            if self._random.random() < 0.2:
                return self._pick(["[default]\n", "[other]\n", "[general]\n"])
            email = self._pick(["z@x.example", "", "a@b.example|c@d.example"])
            text = self._line(self._pick([*self._ids, "B1"]), f"{self._pick(WORDS)},{self._pick(NAMES)},{email}")
            return self._odd(text, "100;=x\n", *PIECES)

        return "[default]\n" + self._many(line, 10)

    def dialplan(self) -> str:
        """extensions.conf."""

        def line() -> str:
            if self._random.random() < 0.15:
                return self._pick(["[from-trunk]\n", "[internal]\n", "[from-trunk](+)\n"])
            app = self._pick(APPS).format(self._pick(self._ids), self._pick(self._ids))
            number = f"+44207946012{self._random.randint(0, 4)}"
            key, start = self._pick([("exten", f"{number},1,"), ("exten", f"{number},n,"), ("exten", "_X.,1,")] + [
                ("same", "n,"), ("same", "n(a),")] * 2)  # fmt: skip
            return self._odd(self._line(key, start + app), *PIECES)

        return "[from-trunk]\n" + self._many(line, 14)


@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**40), limit=st.integers(1, 4),
    contexts=st.sampled_from([["internal"], ["internal", "staff"], []]),
    inbound=st.sampled_from(["from-trunk", "from-trunk", "from-trunk", ""]),
)  # fmt: skip
def test_whoever_is_told_is_told_as_everything_says(
    tmp_path: Path, seed: int, limit: int, contexts: list[str], inbound: str
) -> None:
    hand = Hand(seed)
    written(
        tmp_path, pjsip=hand.accounts(), pjsip_wizard=hand.accounts(wizard=True), more=hand.accounts(),
        voicemail=hand.voicemail(), extensions=hand.dialplan(),
    )  # fmt: skip
    made = conf(tmp_path, contexts=contexts, inbound_context=inbound)
    try:
        sieve = helper.Sieve(made)
    except (helper.Unsifted, helper.Fail):
        return
    whole = everybody(made)
    for cursor in ("", *IDS):
        if (told := page(sieve, cursor, limit)) is not None:
            assert whole is not None, "a file that Asterisk would not take"
            later = [one for one in whole if one["id"] > cursor]
            assert told == (later[:limit], len(later) > limit)
        if cursor and (one := person(sieve, cursor)) is not None:
            assert whole is not None
            assert one[0] == next((other for other in whole if other["id"] == cursor), None)

"""A few people out of files made of any pieces, in any order: told as by a reading of everything, or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.asterisk_files import frameroom_helper as helper
from tests.connectors.asterisk_files.test_sieve import conf, everybody, page, person, written
from tests.connectors.asterisk_files.test_sieve import small as small

TITLES = ("e", "a", "100", "101", "102", "7", "internal", "from-trunk", "default", "general", "100-auth")
HEADS = [
    f"{before}[{title}]{options}{after}"
    for title in TITLES
    for before in ("", ";", ";; ")
    for options in ("", "(!)", "(e)", "(a)", "(!,e)")
    for after in ("", " ; x")
]
LINES = """\
type=endpoint|type=auth|type = aor|Type=endpoint|type=wizard|context=internal|context => other|CONTEXT=internal
auth=100-auth|auth=a|aors=100|username=100|mailboxes=100@default|mailboxes=100,101@default
callerid="Zoe" <100>|callerid=Zoe <100>|CallerID => "Ann" <101>|callerid=secret77 <7>|callerid=|callerid=a;b
callerid += Ann <101>|x_callerid=Ann <101>|set_var=callerid=Zoe <100>|;callerid=No <1>|callerid=101
password=secret77|password = Ann|md5_cred=abcdef0123|inbound_auth/password=Wizard9
endpoint/context=internal|endpoint/callerid=Wiz <7>
100 => 4711,Zoe,z@x.example|101 => 12345,Ann,a@x.example|100 => 1,Zed,z@y.example|100+=9999,Zoe,n@x.example
7 =>|format=wav|; 100 => 9,No,no@x.example|include => other
exten => +442079460123,1,NoOp()|exten => +442079460124,1,Dial(PJSIP/100,20)
exten => +442079460125,1,Goto(internal,101,1)| same => n,Goto(internal,100,1)|same=>n,Dial(PJSIP/101&PJSIP/7)
exten => _X.,1,Goto(100,1)|exten => 100,1,Dial(PJSIP/100)|#include more.conf|#tryinclude none.conf|;--- x
""".replace("\n", "|").split("|")
ODD = [f"{before}[{title}]{options}" for title in TITLES for before in ("", " ") for options in ("(+)", "(101)", "(e")]
ODD += [";-- x", "--;", "loose", "=", "[", "]", "#include nowhere"]
PERSON = st.sampled_from(TITLES).map(lambda one: f"[{one}]\ntype=endpoint\ncontext=internal\ncallerid=Any <{one}>")
USUAL = st.one_of(st.sampled_from(HEADS), st.sampled_from(LINES), st.sampled_from(LINES), PERSON)
ANY = st.one_of(USUAL, USUAL, USUAL, USUAL, USUAL, st.sampled_from(ODD))
TEMPLATES = "[e](!)\ntype=endpoint\ncontext=internal\n[a](!)\ntype=auth\npassword=secret77\n"
BEGINNINGS = {"pjsip": TEMPLATES, "pjsip_wizard": "", "voicemail": "", "extensions": "[from-trunk]\n", "more": ""}


def files(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    text = st.lists(pieces, max_size=12).map(lambda some: "\n".join(some) + "\n")
    return st.fixed_dictionaries(
        {name: text.map(lambda one, begin=begin: begin + one) for name, begin in BEGINNINGS.items()}
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(files(USUAL), files(USUAL), files(ANY)), st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"]), st.booleans()
)  # fmt: skip
@example(
    BEGINNINGS | {"pjsip": TEMPLATES + "[100](e)\n;callerid=No <1>\n", "pjsip_wizard": ";callerid=No <1>\n"}, "\n", True
)  # fmt: skip
def test_any_files(small: None, texts: dict[str, str], end: str, named: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts["more"] = texts["more"].replace("#include", ";")
        written(Path(folder), **{name: text.replace("\n", end) for name, text in texts.items()})
        made = conf(Path(folder), **({} if named else {"contexts": []}))
        whole = everybody(made)
        if whole is None:
            return  # what is wrong is said by whoever reads all of it
        try:
            sieve = helper.Sieve(made)
        except helper.Unsifted:
            return
        for cursor, limit in (("", 1), ("100", 2), ("5", 3)):
            after = [one for one in whole if one["id"] > cursor]
            assert page(sieve, cursor, limit) in (None, (after[:limit], len(after) > limit))
        for key in TITLES:
            mine = next((one for one in whole if one["id"] == key), None)
            assert person(sieve, key) in (None, (mine,))

"""Whatever the helper is asked, and however broken the files are: no secret comes out.

Invariant: no value of canaries.json, as text, hex or base64, in anything that it writes.
"""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.flat_pbx import CANARIES, FlatPbx

FORMS = [
    form
    for value in CANARIES.values()
    for form in (value.encode(), value.encode().hex().encode(), base64.b64encode(value.encode()))
]
WORDS = ["hello", "check", "page", "find", "view", "devices", "plan", "rules", "alter", "remove", "reset", "__init__",
         "known", "answer", "get", "GetConfig", "Command", "exec", "../x", "", "hello\n"]  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.text(max_size=20), st.floats(allow_nan=False),
    st.sampled_from(["1001", "1017", "1020", "alice.wong", "itsp", "itsp-auth", "auth-userpass", "default", "general",
                     "DISA_PIN", "*", "%", ".", "pjsip.conf", "../etc/manager.conf", "sip", "voicemail", "portal",
                     "CANARY", "2262791001", "${DISA_PIN}", "NewSecretOfTheTest23456", "493817"]),
    st.lists(st.text(max_size=5), max_size=3), st.dictionaries(st.sampled_from(["name", "email", "ddis"]),
                                                               st.lists(st.text(max_size=70), max_size=3), max_size=3),
)  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"do": st.one_of(st.sampled_from(WORDS), VALUES), "n": st.integers(0, 9)},
    optional=dict.fromkeys(("id", "cursor", "limit", "words", "kind", "secret", "changes", "expected", "x"), VALUES),
)


def clean(told: bytes) -> None:
    assert not [form for form in FORMS if form in told]
    assert b"Traceback" not in told


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=st.lists(st.one_of(REQUESTS, st.binary(max_size=60)), min_size=40, max_size=80))
def test_no_request_makes_it_tell_one(tmp_path_factory: pytest.TempPathFactory, asked: list[Any]) -> None:
    pbx = FlatPbx(tmp_path_factory.mktemp("fuzz")).make()
    lines = [one.replace(b"\n", b"") if isinstance(one, bytes) else json.dumps(one).encode() for one in asked]
    done = subprocess.run(pbx.command(), input=b"\n".join(lines) + b"\n", capture_output=True, check=False)
    clean(done.stdout + done.stderr)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(lines), "each request has one answer"


def everything(pbx: FlatPbx) -> bytes:
    """All that can be asked without changing anything, and a few changes."""
    asked: list[dict[str, Any]] = [
        {"do": "page", "limit": 500},
        {"do": "check"},
        {"do": "find", "words": "a", "limit": 99},
    ]
    for person in ("1001", "1007", "1017", "1020", "alice.wong"):
        asked += [{"do": name, "id": person} for name in ("view", "plan", "devices")]
        asked += [{"do": "rules", "id": person, "kind": kind} for kind in ("sip", "voicemail")]
        asked.append({"do": "reset", "id": person, "kind": "voicemail", "secret": "493817"})
    lines = b"".join(json.dumps(one | {"n": 1}).encode() + b"\n" for one in asked)
    done = subprocess.run(pbx.command(), input=lines, capture_output=True, check=False)
    return done.stdout + done.stderr


def mangle(data: bytes, chance: random.Random) -> bytes:
    """As half a download, a bad merge or a slip of the hand leaves a file."""
    lines = data.splitlines(True)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                lines[at] = lines[at].rstrip(b"\n")
            case 1:
                del lines[at]
            case 2:
                lines[at] = lines[at].replace(b"=", b"", 1)
            case 3:
                lines[at] = lines[at].replace(b",", b"", 1)
            case 4:
                lines[at] = bytes([chance.randrange(256)]) + lines[at]
            case _:
                cut = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + lines[at][cut + 1 :]
        if not lines:
            break
    return b"".join(lines)


@pytest.mark.parametrize("seed", range(25))
def test_broken_files_make_it_tell_none(tmp_path: Path, seed: int) -> None:
    pbx, chance = FlatPbx(tmp_path).make(), random.Random(seed)  # noqa: S311 - a repeatable run
    for name in ("pjsip.conf", "pjsip_users.conf", "pjsip_wizard.conf", "voicemail.conf", "extensions.conf"):
        path = pbx.etc / name
        path.write_bytes(mangle(path.read_bytes(), chance))
    clean(everything(pbx))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pjsip.conf", 'callerid="Grace Okonkwo" <1001>', "callerid=CANARY-sip-1001-7f3"),
        ("pjsip.conf", 'callerid="Grace Okonkwo" <1001>', 'callerid="Grace" <1001> password=CANARY-sip-1001-7f3'),
        ("pjsip.conf", 'callerid="Grace Okonkwo" <1001>', 'callerid="Grace CANARY-sip-1001-7f3" <1001>'),
        ("voicemail.conf", "1001 => 2262791001,Grace", "1001 => ,2262791001,Grace"),
        ("voicemail.conf", "1001 => 2262791001,Grace Okonkwo", "1001 => 2262791001,2262791001"),
        ("voicemail.conf", "1001 => 2262791001,", "1001 => 2262791001 "),
        ("extensions.conf", "exten => +442079460101,1", "exten => CANARY-auth-8500-56,1"),
    ],
)  # fmt: skip
def test_a_secret_in_a_field_that_is_shown_is_withheld(pbx: FlatPbx, file: str, old: str, new: str) -> None:
    if file == "voicemail.conf":
        pbx.swap("pjsip.conf", '"Grace Okonkwo" ', "")  # so that the mailbox's name would be shown
    pbx.swap(file, old, new)
    clean(everything(pbx))


def test_what_it_is_given_is_not_given_back(pbx: FlatPbx) -> None:
    secret = "NewSecretOfTheTest23456"
    told = pbx.talk(
        {"do": "reset", "id": "1001", "kind": "sip", "secret": secret},
        {"do": "reset", "id": "nobody", "kind": "sip", "secret": secret},
        {"do": "reset", "id": "1001", "kind": "sip", "secret": secret + "\n"},
        {"do": "page", "limit": 500}, {"do": "check"},
    )  # fmt: skip
    assert secret not in json.dumps(told)
    assert not re.search(r"[0-9a-f]{32}", json.dumps(told[:4])), "nor its digest"


@pytest.mark.parametrize(
    "secret", ["12;34", "1234\n5", "12,34", "12345 6", "1" * 11, "123", "١٢٣٤٥٦", "", None, 123456]
)
def test_pins_that_would_break_a_file_are_refused(pbx: FlatPbx, secret: Any) -> None:
    before = pbx.all_text()
    (answer,) = pbx.talk({"do": "reset", "id": "1001", "kind": "voicemail", "secret": secret})
    assert answer["error"] == "invalid"
    assert pbx.all_text() == before


@pytest.mark.parametrize(
    "value", ["a;b", "a\r\nb", "a\nb", "a=b\x00", "#exec x\n", 'a"', "<a>", "a,b", "x" * 5000, 5, [], {}]
)
def test_values_that_would_break_a_file_are_refused_by_the_helper_too(pbx: FlatPbx, value: Any) -> None:
    import hashlib

    def fp(was: object) -> str:
        return hashlib.sha256(json.dumps(was).encode()).hexdigest()

    before = pbx.all_text()
    for field, was in (("name", "Grace Okonkwo"), ("email", "grace.okonkwo@example.test"), ("ddis", ["+442079460101"])):
        new = [value] if field == "ddis" else value
        (answer,) = pbx.talk({"do": "alter", "id": "1001", "changes": {field: [fp(was), new]}})
        assert answer["error"] == "invalid"
    assert pbx.all_text() == before

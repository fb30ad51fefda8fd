"""What the helper keeps between two visits: the same answers, nothing that it does not tell, and never what is past."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.flat_pbx import FlatPbx

from .test_helper_files import fp, rename
from .test_helper_pythons import python

COUNT = 2_100
_TEMPLATES = "[endpoint-internal](!)\ntype=endpoint\ncontext=internal\n\n[auth-userpass](!)\ntype=auth\n"


def _account(n: int) -> str:
    name = "CANARYsip10007" if n == 10_007 else f"Person {n}"
    return (
        f'\n[{n}](endpoint-internal)\nauth={n}\ncallerid="{name}" <{n}>\nmailboxes={n}@default\n'
        f"\n[{n}](auth-userpass)\nusername={n}\npassword=CANARYsip{n}\n"
    )


def _settle(pbx: FlatPbx) -> None:
    """As files are that were written some time ago: what was written just now is not kept."""
    until = max(file.stat().st_ctime for file in pbx.etc.iterdir()) + 1.15
    time.sleep(max(0.0, until - time.time()))


@pytest.fixture
def pbx(tmp_path: Path) -> FlatPbx:
    """Many people, one of them called as their password is; and the folder that the installer makes."""
    made = FlatPbx(tmp_path, {"cache": str(tmp_path / "cache")}).make()
    for name in ("pjsip_users", "pjsip_wizard"):
        (made.etc / f"{name}.conf").unlink()
    numbers = range(10_000, 10_000 + COUNT)
    made.write("pjsip.conf", _TEMPLATES + "".join(map(_account, numbers)))
    boxes = "".join(f"{n} => CANARYpin{n},Zoë Müller {n},p{n}@customer.example\n" for n in numbers)
    made.write("voicemail.conf", f"[general]\nformat=wav\n\n[default]\n{boxes}")
    routes = "".join(f"exten => +4420{n + 10**6},1,Goto(internal,{n},1)\n" for n in numbers)
    inside = "".join(f"exten => {n},1,Dial(PJSIP/{n},20)\n" for n in numbers)
    made.write("extensions.conf", f"[from-trunk]\n{routes}\n[internal]\n{inside}")
    (tmp_path / "cache").mkdir(mode=0o700)
    _settle(made)
    return made


def kept(pbx: FlatPbx) -> Path:
    """The file."""
    return pbx.folder / "cache" / "people"


ASKED: list[dict[str, Any]] = [
    {"do": "page", "limit": 3}, {"do": "page", "limit": 500, "cursor": "11800"},
    {"do": "page", "limit": 5, "cursor": "0"},
    {"do": "page", "limit": 5, "cursor": "12099"}, {"do": "page", "limit": 5, "cursor": "nobody"},
    {"do": "page", "limit": 201, "cursor": "10199"}, {"do": "view", "id": "10000"}, {"do": "view", "id": "12099"},
    {"do": "view", "id": "10200"}, {"do": "view", "id": "1"}, {"do": "view", "id": "99999"},
    {"do": "find", "words": "PERSON 10042", "limit": 9}, {"do": "find", "words": "p10043@customer", "limit": 9},
    {"do": "find", "words": "020 1010044", "limit": 9}, {"do": "find", "words": "person", "limit": 7},
    {"do": "find", "words": "nobody at all", "limit": 9}, {"do": "find", "words": "müller", "limit": 9},
    {"do": "find", "words": "CANARYsip10007", "limit": 9},
]  # fmt: skip


def test_the_next_visit_is_answered_as_the_first_was(pbx: FlatPbx) -> None:
    first = pbx.talk(*ASKED)
    assert kept(pbx).stat().st_mode & 0o777 == 0o600
    assert pbx.talk(*ASKED) == first


@pytest.mark.parametrize("version", ["3.6", "3.9", "3.13"])
def test_so_it_is_on_any_python(pbx: FlatPbx, version: str) -> None:
    first = pbx.talk(*ASKED, python=python(version))
    assert kept(pbx).exists()
    assert pbx.talk(*ASKED, python=python(version)) == first


def test_the_next_visit_reads_no_file_of_asterisks(pbx: FlatPbx) -> None:
    pbx.talk({"do": "page", "limit": 1})
    held = kept(pbx).read_bytes()
    # Another name in what is kept is seen, so that is what was read.
    kept(pbx).write_bytes(held.replace(b"Person 10042", b"Person Kept!", 1))
    assert pbx.talk({"do": "view", "id": "10042"})[0]["person"]["name"] == "Person Kept!"


def test_it_holds_what_is_told_and_no_password(pbx: FlatPbx) -> None:
    pbx.talk({"do": "page", "limit": 1})
    held = kept(pbx).read_bytes()
    assert held.count(b"\n") == COUNT + 1
    assert b"CANARY" not in held
    one = json.loads(held.splitlines()[1])
    assert set(one) == {"id", "extension", "name", "email", "ddis"}


def test_whatever_changes_is_told_as_it_is_now(pbx: FlatPbx) -> None:
    pbx.talk({"do": "page", "limit": 1})
    pbx.swap("pjsip.conf", '"Person 10042"', '"Person Other"')  # as long as it was
    assert pbx.talk({"do": "view", "id": "10042"})[0]["person"]["name"] == "Person Other"
    assert not kept(pbx).exists(), "what was written just now is not kept"
    _settle(pbx)
    pbx.talk({"do": "page", "limit": 1})
    assert kept(pbx).exists()
    pbx.configure(cache=str(kept(pbx).parent), inbound_context="")
    assert pbx.talk({"do": "view", "id": "10042"})[0]["person"]["ddis"] is None


def test_a_file_that_is_added_by_an_include_is_seen(pbx: FlatPbx) -> None:
    pbx.write("pjsip.conf", pbx.text() + "\n#tryinclude pjsip.d/*.conf\n")
    _settle(pbx)
    pbx.talk({"do": "page", "limit": 1})
    assert kept(pbx).exists()
    (pbx.etc / "pjsip.d").mkdir()
    (pbx.etc / "pjsip.d" / "new.conf").write_text(_account(90_000))
    assert pbx.talk({"do": "view", "id": "90000"})[0]["person"]["name"] == "Person 90000"


def test_a_change_of_ours_leaves_nothing_of_what_was(pbx: FlatPbx) -> None:
    pbx.talk({"do": "page", "limit": 1})
    assert pbx.talk(rename("10042", "Person 10042", "Grace Bell"), {"do": "view", "id": "10042"}) == [
        {"ok": True, "n": 1},
        {"person": {"id": "10042", "extension": "10042", "name": "Grace Bell", "email": "p10042@customer.example",
                    "ddis": ["+44201010042"]}, "n": 2},
    ]  # fmt: skip
    assert not kept(pbx).exists()
    _settle(pbx)
    pbx.talk({"do": "page", "limit": 1})
    gone = {"do": "remove", "id": "10043", "expected": {"extension": fp("10043"), "name": fp("Person 10043")}}
    assert pbx.talk(gone)[0] == {"ok": True, "n": 1}
    assert not kept(pbx).exists(), "who was removed is kept nowhere"


@pytest.mark.parametrize("how", ["a folder of others", "a folder that others may read", "a link", "none", "off"])
def test_where_it_would_not_be_private_nothing_is_kept(pbx: FlatPbx, how: str) -> None:
    folder = kept(pbx).parent
    elsewhere = pbx.folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    match how:
        case "a folder of others":
            if os.geteuid() != 0:
                pytest.skip("only root can give a folder away")
            os.chown(folder, 4321, 4321)
        case "a folder that others may read":
            folder.chmod(0o750)
        case "a link":
            folder.rmdir()
            folder.symlink_to(elsewhere)
        case "none":
            folder.rmdir()
        case _:
            pbx.configure(cache="")
    assert len(pbx.talk({"do": "page", "limit": 5})[0]["people"]) == 5
    assert not folder.exists() or list(folder.iterdir()) == []
    assert list(elsewhere.iterdir()) == []
    told = {one["what"]: one["ok"] for one in pbx.talk({"do": "check"})[0]["lines"]}
    assert told["kept"] is False


_FOREIGN = [
    b"",
    b"\n",
    b"{}\n",
    b"[]\n",
    b"nonsense",
    b'{"mark": 1}\n',
    b"[" * 100_000,
    b"\xff\xfe\n",
    b"{" + b" " * 5_000_000,
]


@pytest.mark.parametrize("held", _FOREIGN, ids=lambda held: repr(held[:12]))
def test_what_is_no_file_of_ours_is_passed_over_and_written_anew(pbx: FlatPbx, held: bytes) -> None:
    kept(pbx).write_bytes(held)
    kept(pbx).chmod(0o600)
    (person,) = pbx.talk({"do": "view", "id": "10042"})
    assert person["person"]["name"] == "Person 10042"
    assert kept(pbx).read_bytes().count(b"\n") == COUNT + 1


def test_a_file_that_others_could_have_written_is_not_believed(pbx: FlatPbx) -> None:
    pbx.talk({"do": "page", "limit": 1})
    kept(pbx).write_bytes(kept(pbx).read_bytes().replace(b"Person 10042", b"Person Wrong"))
    kept(pbx).chmod(0o620)
    assert pbx.talk({"do": "view", "id": "10042"})[0]["person"]["name"] == "Person 10042"


def test_few_people_are_kept_nowhere(tmp_path: Path) -> None:
    few = FlatPbx(tmp_path, {"cache": str(tmp_path / "cache")}).make()
    (tmp_path / "cache").mkdir(mode=0o700)
    _settle(few)
    lines = few.talk({"do": "page", "limit": 1}, {"do": "check"})[1]["lines"]
    assert list((tmp_path / "cache").iterdir()) == []
    assert "kept" not in {one["what"] for one in lines}

"""How the helper reads and writes files: every way that Asterisk lets them be written, and every way to break off."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from connectors.asterisk_files.connector import HELPER
from tests.support.flat_pbx import FlatPbx


def fp(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def rename(person: str, was: str, name: str) -> dict[str, Any]:
    return {"do": "alter", "id": person, "changes": {"name": [fp(was), name]}}


def view(pbx: FlatPbx, person: str) -> dict[str, Any]:
    return pbx.talk({"do": "view", "id": person})[0]


GRACE = rename("1001", "Grace Okonkwo", "Grace Bell")
SIP = {"do": "reset", "id": "1001", "kind": "sip", "secret": "NewSecretOfTheTest23456"}


def test_owner_mode_comments_line_ends_and_order_stay(pbx: FlatPbx) -> None:
    path = pbx.etc / "pjsip.conf"
    pbx.swap("pjsip.conf", "username=1001\n", "\tusername = 1001   ; as on the label\n")
    pbx.swap("pjsip.conf", "password=CANARY-sip-1001-7f3\n", "  password\t=  CANARY-sip-1001-7f3   ; set 2019\n")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").rstrip(b"\r\n"))
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 4321, 1234)
    before = path.read_bytes()
    assert pbx.talk(GRACE, SIP) == [{"ok": True, "n": 1}, {"ok": True, "n": 2}]
    found, after = path.stat(), path.read_bytes()
    assert stat.S_IMODE(found.st_mode) == 0o640
    if os.geteuid() == 0:
        assert (found.st_uid, found.st_gid) == (4321, 1234)
    assert b"\tusername = 1001   ; as on the label\r\n" in after
    digest = hashlib.md5(b"1001:asterisk:NewSecretOfTheTest23456", usedforsecurity=False).hexdigest()
    expected = before.replace(b"Grace Okonkwo\" <", b"Grace Bell\" <").replace(
        b"  password\t=  CANARY-sip-1001-7f3   ; set 2019\r\n",
        b"  md5_cred\t=  " + digest.encode() + b"   ; set 2019\r\nauth_type = md5\r\n",
    )  # fmt: skip
    assert after == expected
    assert {name for name in os.listdir(pbx.etc) if name.startswith(".")} == set(), "nothing is left beside the files"


def test_what_is_commented_out_is_nobody_and_is_not_edited(pbx: FlatPbx) -> None:
    pbx.swap("pjsip.conf", "; Grace Okonkwo\n", ";-- gone since May\n; Grace Okonkwo\n")
    pbx.swap("pjsip.conf", "\n; Tomás Álvarez", "--;\n; Tomás Álvarez")
    assert view(pbx, "1001")["error"] == "not-found"
    assert view(pbx, "1002")["person"]["name"] == "Tomás Álvarez"
    pbx.swap("pjsip.conf", 'callerid="Priya Raghunathan" <1003>', 'callerid=;-- old --;"Priya Raghunathan" <1003>')
    assert view(pbx, "1003")["person"]["name"] == "Priya Raghunathan"
    before = pbx.all_text()
    (refused,) = pbx.talk(rename("1003", "Priya Raghunathan", "Priya Rao"))
    assert (refused["reason"], refused["file"]) == ("odd-line", "pjsip.conf")
    assert pbx.text().splitlines()[refused["line"] - 1].startswith("callerid=;--")
    assert pbx.all_text() == before


def test_a_section_added_to_and_a_section_made_from_another(pbx: FlatPbx) -> None:
    pbx.write("pjsip.conf", pbx.text() + '\n[1001](+type=endpoint)\ncallerid = "Grace B" <1001>\n')
    pbx.write("pjsip.conf", pbx.text() + '\n[1030](1001)\ncallerid="Made Of" <1030>\nmailboxes=1030@default\n')
    shown = [answer["person"] for answer in pbx.talk({"do": "view", "id": "1001"}, {"do": "view", "id": "1030"})]
    assert [one["name"] for one in shown] == ["Grace B", "Made Of"]
    assert pbx.talk(rename("1001", "Grace B", "Grace Bell"))[0] == {"ok": True, "n": 1}
    assert '\n[1001](+type=endpoint)\ncallerid = "Grace Bell" <1001>\n' in pbx.text()
    before = pbx.all_text()
    plan = {"do": "remove", "id": "1001", "expected": {"extension": fp("1001"), "name": fp("Grace Bell")}}
    assert pbx.talk(plan)[0]["reason"] == "used-as-template", "who depends on it would not load any more"
    assert pbx.all_text() == before


def test_a_template_that_gives_the_name_is_left_alone(pbx: FlatPbx) -> None:
    pbx.swap("pjsip.conf", 'callerid="Grace Okonkwo" <1001>\n', "")
    pbx.swap("pjsip.conf", "[1001](endpoint-internal)", '[g](!)\ncallerid="Front" <1001>\n[1001](endpoint-internal,g)')
    assert pbx.talk(rename("1001", "Front", "Grace Bell"))[0] == {"ok": True, "n": 1}
    assert '[g](!)\ncallerid="Front" <1001>\n' in pbx.text()
    assert 'mailboxes=1001@default\ncallerid="Grace Bell" <1001>\n' in pbx.text()


@pytest.mark.parametrize(
    ("line", "reason", "file"),
    [("x" * 9000 + "=1", "too-long", "pjsip.conf"), ("[broken", "syntax", "pjsip.conf"),
     ("[a](missing)", "syntax", "pjsip.conf"), ("#include pjsip.conf", "too-many-files", "pjsip_users.conf")],
)  # fmt: skip
def test_a_file_that_asterisk_would_not_take_is_named(pbx: FlatPbx, line: str, reason: str, file: str) -> None:
    pbx.write("pjsip.conf", pbx.text() + line + "\n")
    (answer,) = pbx.talk({"do": "view", "id": "1001"})
    assert (answer["error"], answer["reason"], answer["file"]) == ("file", reason, file)
    assert "CANARY" not in json.dumps(answer)


def test_files_outside_their_folder_are_neither_read_nor_written(pbx: FlatPbx) -> None:
    outside = pbx.folder / "outside.conf"
    outside.write_text('[1099](endpoint-internal)\ncallerid="Out Side" <1099>\n')
    pbx.write("pjsip.conf", pbx.text() + f"#include {outside}\n#include ../outside.conf\n#include link.conf\n")
    (pbx.etc / "link.conf").symlink_to(outside)
    answers = pbx.talk({"do": "view", "id": "1099"}, {"do": "check"})
    assert answers[0]["error"] == "not-found"
    assert {"what": "outside", "ok": False, "file": "", "count": 0} in answers[1]["lines"]


def test_includes_by_pattern_are_followed_and_never_find_our_own_files(pbx: FlatPbx) -> None:
    (pbx.etc / "pjsip.d").mkdir()
    (pbx.etc / "pjsip_users.conf").rename(pbx.etc / "pjsip.d" / "users.conf")
    pbx.swap("pjsip.conf", "#include pjsip_users.conf", '#include "pjsip.d/*.conf"')
    assert pbx.talk(rename("1013", "John Smith", "Jon Smith"))[0] == {"ok": True, "n": 1}
    assert '"Jon Smith" <1013>' in (pbx.etc / "pjsip.d" / "users.conf").read_text()
    assert os.listdir(pbx.etc / "pjsip.d") == ["users.conf"]


def test_a_refused_reload_puts_every_file_back(pbx: FlatPbx) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in pbx.etc.iterdir()}
    (pbx.folder / "refuse-once").touch()
    (answer,) = pbx.talk(GRACE)
    assert (answer["error"], answer["reason"]) == ("failed", "reload")
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in pbx.etc.iterdir()} == before
    assert pbx.asked()[-2:] == ["module reload app_voicemail.so", "module reload res_pjsip.so"], "the old ones again"
    (pbx.folder / "refuse").touch()
    (answer,) = pbx.talk(GRACE)
    assert (answer["error"], answer["reason"]) == ("unknown", "reload-unsure")
    assert {path.name: path.read_bytes() for path in pbx.etc.iterdir()} == {k: v[0] for k, v in before.items()}


def test_a_helper_that_is_killed_in_the_middle_leaves_nothing_half_done(pbx: FlatPbx) -> None:
    before = pbx.all_text()
    os.mkfifo(pbx.folder / "hang")
    running = subprocess.Popen(pbx.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.write(json.dumps(GRACE | {"n": 1}).encode() + b"\n")
    running.stdin.flush()
    # Opened for writing once the console opened it for reading: the new files are in place, the reload goes on.
    with (pbx.folder / "hang").open("w"):
        assert "Grace Bell" in pbx.all_text()
        running.send_signal(signal.SIGKILL)
        running.communicate()
    (pbx.folder / "hang").unlink()
    assert view(pbx, "1001")["person"]["name"] == "Grace Okonkwo", "nobody is shown what was never taken"
    assert pbx.all_text() == before
    answers = pbx.talk(rename("1002", "Tomás Álvarez", "Tom Alvarez"))
    assert answers == [{"ok": True, "n": 1}]
    after = pbx.all_text()
    assert after.replace("Tom Alvarez", "Tomás Álvarez") == before, "put back before the next change"
    assert not [name for name in os.listdir(pbx.etc) if name.startswith(".")]


def test_a_hang_up_in_the_middle_ends_the_change_first(pbx: FlatPbx) -> None:
    os.mkfifo(pbx.folder / "hang")
    running = subprocess.Popen(pbx.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.write(json.dumps(GRACE | {"n": 1}).encode() + b"\n")
    running.stdin.flush()
    with (pbx.folder / "hang").open("w"):
        for one in (signal.SIGHUP, signal.SIGTERM):
            running.send_signal(one)
        (pbx.folder / "hang").unlink()
    told, _ = running.communicate()
    assert json.loads(told) == {"ok": True, "n": 1}
    assert view(pbx, "1001")["person"]["name"] == "Grace Bell"


def test_two_writers_come_one_after_the_other_and_lose_nothing(pbx: FlatPbx) -> None:
    names = {"1002": "Tomás Álvarez", "1003": "Priya Raghunathan", "1010": "Kwame Mensah", "1016": "Reception"}
    with concurrent.futures.ThreadPoolExecutor() as several:
        done = list(several.map(lambda one: pbx.talk(rename(one, names[one], f"New {one}")), names))
    assert done == [[{"ok": True, "n": 1}]] * 4
    assert [view(pbx, one)["person"]["name"] for one in names] == [f"New {one}" for one in names]


def test_nothing_is_written_where_the_owner_cannot_be_kept() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make files of two owners here")
    with tempfile.TemporaryDirectory() as folder:
        pbx = FlatPbx(Path(folder)).make()
        shutil.copy(HELPER, pbx.folder / "helper")
        for path in (pbx.folder, pbx.etc, *pbx.etc.iterdir()):
            os.chown(path, 4321, 4321)
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.chown(pbx.etc / "voicemail.conf", 0, 0)
        before = pbx.all_text()
        done = subprocess.run(
            ["/usr/bin/python3", "-I", str(pbx.folder / "helper"), "--config", str(pbx.conf)], user=4321, group=4321,
            extra_groups=[], input=json.dumps(GRACE | {"n": 1}).encode() + b"\n", capture_output=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["reason"] == "owner"
        assert pbx.all_text() == before
        assert not [name for name in os.listdir(pbx.etc) if name.startswith(".")]


def test_a_configuration_that_others_may_write_is_not_believed(pbx: FlatPbx) -> None:
    pbx.conf.chmod(0o666)
    done = subprocess.run(pbx.command(), input=b"", capture_output=True, check=False)
    assert json.loads(done.stdout)["reason"] == "conf-writable"
    assert done.returncode == 1
    pbx.configure(unknown=1)
    done = subprocess.run(pbx.command(), input=b"", capture_output=True, check=False)
    assert json.loads(done.stdout)["reason"] == "conf-unknown"


@pytest.mark.parametrize(("shape", "stored"), [("digits", "442079460155"), ("national", "02079460155")])
def test_numbers_are_written_as_the_site_writes_them(pbx: FlatPbx, shape: str, stored: str) -> None:
    pbx.configure(numbers=shape)
    pbx.swap("extensions.conf", "+442079460101", stored)
    assert view(pbx, "1001")["person"]["ddis"] == ["+442079460155"]
    new = {"do": "alter", "id": "1001", "changes": {"ddis": [fp(["+442079460155"]), ["+442079460156"]]}}
    assert pbx.talk(new) == [{"ok": True, "n": 1}]
    assert f"exten => {stored[:-1]}6,1,NoOp(DID for Grace Okonkwo)\n" in pbx.text("extensions.conf")
    foreign = {"do": "alter", "id": "1001", "changes": {"ddis": [fp(["+442079460156"]), ["+4930123456"]]}}
    answer = pbx.talk(foreign)[0]
    assert answer.get("reason") == ("other-country" if shape == "national" else None)


def test_a_symlinked_file_is_written_where_it_is(pbx: FlatPbx) -> None:
    (pbx.etc / "real").mkdir()
    (pbx.etc / "voicemail.conf").rename(pbx.etc / "real" / "voicemail.conf")
    (pbx.etc / "voicemail.conf").symlink_to(Path("real") / "voicemail.conf")
    pin = {"do": "reset", "id": "1001", "kind": "voicemail", "secret": "493817"}
    assert pbx.talk(pin) == [{"ok": True, "n": 1}]
    assert (pbx.etc / "voicemail.conf").is_symlink()
    assert "1001 => 493817,Grace" in pbx.text("voicemail.conf")

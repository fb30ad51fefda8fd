"""The helper on the configurations of asterisk/testsuite, which nobody here wrote: FRAMEROOM_ASTERISK_TESTSUITE names a
checkout of it; without one this is skipped aloud.

Each folder with a `pjsip.conf` or `pjsip_wizard.conf` is read; one person there is renamed and has the SIP password
reset. What may not happen: a crash, a password told, a line touched that is not the person's.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.asterisk_files import frameroom_helper
from tests.support.flat_pbx import FlatPbx

SOURCE = os.environ.get("FRAMEROOM_ASTERISK_TESTSUITE")
NEW = "NewSecretOfTheTest23456"
_SECRET = re.compile(rb"^\s*(?:inbound_auth/|outbound_auth/)?(?:password|md5_cred)\s*=>?\s*([^;\r\n]*[^;\s])", re.M)
_THEIRS = re.compile(
    rb"(?:endpoint/|inbound_auth/)?(?:callerid|password|md5_cred|password_digest|auth_type)\s*=|[0-9]+\s*=>\s*[0-9]+,",
    re.I,
)
_MAY_FAIL = {"syntax", "no-sip", "no-auth", "shared-sip", "in-template", "mixed"}


def copied(pbx: FlatPbx, folder: Path) -> bytes:
    """The folder as Asterisk's own, and everything that it holds."""
    shutil.rmtree(pbx.etc)
    shutil.copytree(folder, pbx.etc, ignore_dangling_symlinks=True)
    files = [path for path in pbx.etc.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o640)
    return b"\n".join(path.read_bytes() for path in sorted(files))


def asked(pbx: FlatPbx, **request: Any) -> dict[str, Any]:
    """What a helper that has just been started answers; a refusal as {"refused": …}. Anything else fails the test."""
    desk = frameroom_helper.Desk(frameroom_helper.Conf(str(pbx.conf)))
    try:
        answer: dict[str, Any] = getattr(desk, f"do_{request.pop('do')}")(request)
    except frameroom_helper.Fail as error:
        assert error.reason in _MAY_FAIL, (error.code, error.reason, error.file, error.line)
        return {"refused": error.reason}
    return answer


def test_each_is_read_and_edited_and_no_password_is_told(pbx: FlatPbx) -> None:
    if not SOURCE:
        pytest.skip("FRAMEROOM_ASTERISK_TESTSUITE names no checkout of asterisk/testsuite")
    pbx.configure(contexts=[], inbound_context="", cache="")
    folders = sorted({path.parent for name in ("pjsip", "pjsip_wizard") for path in Path(SOURCE).rglob(f"{name}.conf")})
    seen: Counter[str] = Counter()
    for folder in folders:
        before = copied(pbx, folder)
        told = asked(pbx, do="page", cursor=None, limit=500)
        seen["read"] += "people" in told
        # In these files many a password is the name of its own section, which is no secret then.
        secrets = {found for found in _SECRET.findall(before) if b"[" + found + b"]" not in before and len(found) > 5}
        for person in told.get("people", ())[:1]:
            was = hashlib.sha256(json.dumps(person["name"]).encode()).hexdigest()
            named = asked(pbx, do="alter", id=person["id"], changes={"name": [was, "Zed Newname"]})
            reset = asked(pbx, do="reset", id=person["id"], kind="sip", secret=NEW)
            shown = asked(pbx, do="view", id=person["id"])
            assert shown["person"]["name"] == ("Zed Newname" if "refused" not in named else person["name"]), folder
            seen.update({"renamed": "refused" not in named, "reset": "refused" not in reset})
            told = {"a": told, "b": named, "c": reset, "d": shown}
        after = b"\n".join(path.read_bytes() for path in sorted(pbx.etc.rglob("*")) if path.is_file())
        for line in _changed(before, after):
            assert _THEIRS.match(line.strip()), (folder, line)
        assert not [secret for secret in secrets if secret.decode("utf-8", "replace") in json.dumps(told)], folder
    print(f"{len(folders)} folders: {dict(seen)}")
    assert seen["read"] > len(folders) * 0.95
    assert min(seen["renamed"], seen["reset"]) > 0


def _changed(before: bytes, after: bytes) -> list[bytes]:
    """Lines that are only in one of the two."""
    lines = difflib.SequenceMatcher(None, old := before.split(b"\n"), new := after.split(b"\n"), autojunk=False)
    return [
        line for what, a, b, c, d in lines.get_opcodes() if what != "equal" for line in (*old[a:b], *new[c:d])
    ]  # fmt: skip

"""The helper on every Python that a phone system may have: 3.6 to 3.13, run where they are, and read where not."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.asterisk_files.connector import HELPER
from tests.support.flat_pbx import CANARIES, FlatPbx

from .test_helper_files import GRACE, SIP, fp

OLDEST = (3, 6)
# What the helper may import, all of it in 3.6, and what was added later to what it uses.
MODULES = {"base64", "bisect", "fcntl", "glob", "hashlib", "itertools", "json", "os", "re", "select", "signal", "stat",
           "subprocess", "sys", "time", "typing", "unicodedata"}  # fmt: skip
NEWER = {"removeprefix", "removesuffix", "fromisoformat", "time_ns", "monotonic_ns", "is_relative_to", "pairwise",
         "cached_property", "cache", "isascii", "bit_count", "batched", "pidfd_open", "posix_spawn", "memfd_create",
         "getrandom_ns", "copy_file_range", "is_normalized", "file_digest", "waitstatus_to_exitcode", "root_dir",
         "include_hidden", "fork_exec"}  # fmt: skip
NEWER_WORDS = {"capture_output", "text", "missing_ok", "dirs_exist_ok", "root_dir", "include_hidden", "user", "group",
               "extra_groups", "umask", "process_group"}  # fmt: skip


def python(version: str) -> str:
    """An interpreter of that version, or the test is skipped."""
    candidates = [
        shutil.which(f"python{version}"),
        *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
    ]
    for found in filter(None, candidates):
        told = subprocess.run(
            [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if told.stdout.strip() == version:
            return found
    pytest.skip(f"no Python {version} here")


@pytest.mark.parametrize("version", [f"3.{minor}" for minor in range(6, 14)])
def test_it_runs_on(pbx: FlatPbx, version: str) -> None:
    removal = {"do": "remove", "id": "1017", "expected": {"extension": fp("1017"), "name": fp("Carlos Mendes")}}
    pin = {"do": "reset", "id": "1002", "kind": "voicemail", "secret": "493817"}
    answers = pbx.talk(
        {"do": "hello"}, {"do": "page", "limit": 500}, {"do": "find", "words": "smith", "limit": 5}, {"do": "check"},
        GRACE, SIP, pin, removal, {"do": "devices", "id": "1001"}, {"do": "plan", "id": "1020"},
        {"do": "view", "id": "1001"}, b"nonsense\n", b"[" * 9000 + b"\n",
        python=python(version),
    )  # fmt: skip
    assert answers[0]["python"] == version
    assert len(answers[1]["people"]) == 20
    assert answers[4:8] == [{"ok": True, "n": n} for n in (5, 6, 7, 8)]
    assert answers[10]["person"]["name"] == "Grace Bell"
    assert [answer["error"] for answer in answers[11:]] == ["invalid", "invalid"]
    assert not [value for value in CANARIES.values() if value in json.dumps(answers)]


def test_it_holds_nothing_that_is_newer_than_the_oldest() -> None:
    tree = ast.parse(HELPER.read_text(encoding="utf-8"), feature_version=OLDEST)
    imported, used = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imported |= {one.name for one in names}
            case ast.ImportFrom(module=module):
                imported.add(str(module))
            case ast.Attribute(attr=name):
                used.add(name)
            case ast.keyword(arg=name) if name:
                used.add(f"{name}=")
    assert imported == MODULES
    assert imported <= sys.stdlib_module_names
    assert not used & (NEWER | {f"{name}=" for name in NEWER_WORDS})

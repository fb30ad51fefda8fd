"""docs/operating.md is what an operator types: every command, option, setting and figure in it exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from audit.events import KINDS
from config.load import known_keys
from gateway.cli.main import main
from tests.support.need import need_tool
from tests.support.token import PIN, SoftToken, module

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
UNIT = ROOT / "docs" / "examples" / "frameroom.service"


def commands() -> list[str]:
    typed = re.findall(r"`frameroom ([a-z][^`]*)`|^    frameroom (.*)$", PAGE, re.MULTILINE)
    return sorted({one or other for one, other in typed})


@pytest.mark.parametrize("typed", commands())
def test_every_command_exists_with_its_options(typed: str) -> None:
    found: click.Command = main
    words = typed.split()
    while isinstance(found, click.Group) and words:
        inner = found.get_command(click.Context(found), words.pop(0))
        assert inner is not None, typed
        found = inner
    assert not isinstance(found, click.Group), f"{typed} is only half a command"
    options = {name for param in found.params for name in param.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_setting_and_figure_exists() -> None:
    sections = "|".join({key.partition(".")[0] for key in known_keys()})
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", PAGE)) - KINDS.keys() - {"keys.age"}  # a file
    assert named
    assert named <= set(known_keys())
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway" / "wiring").glob("*.py"))
    for figure in set(re.findall(r"`frameroom_([a-z_]+?)(?:_total)?(?:\{[a-z]+\})?`", PAGE)) - {"app"}:
        assert f'"{figure}"' in source or f'"frameroom_{figure}"' in source, figure


def test_the_commands_that_make_a_key_in_a_token_make_one(tmp_path: Path) -> None:
    token = SoftToken(tmp_path, module())
    token.tokens.mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {token.tokens}\n")
    made, keyed = re.findall(r"^    ((?:softhsm2-util|pkcs11-tool) .*)$", PAGE, re.MULTILINE)
    token.run(*made.split(), "--pin", PIN, "--so-pin", PIN)  # which a person is asked for
    token.run(*keyed.replace("/usr/lib/softhsm/libsofthsm2.so", str(token.module)).split(), "--pin", PIN)
    assert "never extractable" in token.tool("--list-objects")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = need_tool("systemd-analyze", "systemd")
    # The program of this machine in place of an installed one, and no page where a package would put it.
    text = re.sub(r"^Documentation=.*\n", "", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace("/opt/frameroom/bin/frameroom", sys.executable))
    done = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr

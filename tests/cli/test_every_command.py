"""What every command promises, asked of each."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.cli.conftest import process


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, made in group.commands.items():
        if isinstance(made, click.Group):
            yield from commands(made, (*path, name))
        else:
            yield (*path, name)


EVERY = list(commands())
ISSUE = """engineer add|engineer list|engineer show|engineer disable|engineer enable|engineer key add|engineer key list
engineer key remove|engineer totp|engineer role add|engineer role remove|engineer codes|customer add|customer list
customer show|customer engineer|contact add|contact list|contact set|contact remove|approver add|approver list
approver remove|agreement set|agreement show|agreement confirm|agreement withdraw|system add|system list|system show
system check|system remove|system note|request list|request show|request record-consent|grant list|grant show
grant revoke|session list|session show|session kill|session watch|recording list|recording play|recording export
audit tail|audit search|audit verify|explain|connectors|config check|config show|config schema|db upgrade|db status
init|serve|demo|backup|restore|import""".replace("\n", "|").split("|")


def test_the_names_are_those_that_scripts_rely_on() -> None:
    there = {" ".join(path) for path in EVERY}
    assert [name for name in ISSUE if name not in there] == []


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_it_explains_itself_with_an_example_and_takes_json(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*path, "--help"], terminal_width=200)
    assert done.exit_code == 0, done.output
    example = [line for line in done.output.split("Example:")[1:] if f"frameroom {' '.join(path)}" in line]
    # A command may show other options of frameroom first.
    assert example or "frameroom -c" in done.output.split("Example:")[1], done.output
    assert "--json" in done.output


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_words_that_are_off_are_usage_errors(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*path, "--no-such-option"])
    assert done.exit_code == 2
    assert "--no-such-option" in done.output


def test_json_before_and_after_is_the_same() -> None:
    before, after = process("--json", "connectors"), process("connectors", "--json")
    assert before.stdout == after.stdout
    assert {row["connector"] for row in json.loads(after.stdout)} >= {"lab", "asterisk-realtime"}


@pytest.mark.parametrize("shell", ["zsh", "fish", "bash"])
def test_completion_is_a_script_of_that_shell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_FRAMEROOM_COMPLETE={shell}_complete" in done.output


def test_tab_completes_commands_and_choices() -> None:
    env = {"_MAIN_COMPLETE": "bash_complete", "COMP_WORDS": "frameroom explain ana x reset-", "COMP_CWORD": "4"}
    done = CliRunner().invoke(main, [], prog_name="main", env=env)
    assert "plain,reset-voicemail" in done.output

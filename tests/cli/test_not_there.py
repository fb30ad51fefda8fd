"""What the command line says where something is not there, or not what it should be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncssh

from tests.cli.conftest import BROOK, Closed


def test_nothing_live_where_nothing_serves(furnished: Closed) -> None:
    assert "no such visit" in furnished.refused("session", "watch", "ses_1", "--why", "x")
    assert "no such visit" in furnished.refused("session", "kill", "ses_1")
    assert "no such visit" in furnished.refused("recording", "play", "ses_1", "--why", "x")
    for command in (("session", "list"), ("recording", "list"), ("grant", "list"), ("request", "list")):
        assert furnished.run(*command).stderr.strip() == "nothing"


def test_two_customers_cannot_have_one_name(closed: Closed) -> None:
    closed.ok("customer", "add", BROOK)
    assert "already" in closed.refused("customer", "add", BROOK, code=1)
    assert "has a name" in closed.refused("customer", "add", "  ")
    assert [row["name"] for row in closed.json("customer", "list")] == [BROOK]


def test_hostile_names_do_not_reach_the_terminal(closed: Closed) -> None:
    name = "Brook\x1b]0;owned\x07\x9b31m\u202e"
    closed.ok("customer", "add", name)
    for words in (("customer", "list"), ("customer", "list", "--json"), ("customer", "show", name)):
        assert not set(closed.ok(*words)) & set("\x1b\x07\x9b\u202e")
    assert not set(closed.refused("customer", "add", name, code=1)) & set("\x1b\x07\x9b\u202e")


def test_a_deployment_that_is_not_there(tmp_path: Path) -> None:
    missing = Closed(tmp_path / "nowhere.toml")
    assert "frameroom init" in missing.refused("customer", "list")
    missing.config.write_text("")
    assert "No such file" in missing.refused("customer", "list", code=1)
    missing.config.write_text("[ssh]\nprot = 1\n")
    assert "did you mean ssh.port?" in missing.refused("engineer", "list")


def test_the_database_schema(closed: Closed) -> None:
    told = closed.json("db", "status")
    assert told["has"] == told["newest"]
    assert "newest" in closed.ok("db", "upgrade")
    assert "It is in order" in closed.ok("config", "check")
    assert "properties" in closed.json("config", "schema")
    assert "[ssh]" in closed.ok("config", "show")


def test_a_database_that_is_gone(closed: Closed) -> None:
    text = closed.config.read_text()
    closed.config.write_text(text.replace("sqlite:///", "sqlite:////nowhere").replace("owner@/", "owner@/no"))
    for words in (("db", "status"), ("db", "upgrade")):
        assert "database" in closed.refused(*words, code=1)


def test_a_folder_whose_path_is_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = Closed(tmp_path / ("x" * 60) / ("y" * 60) / "frameroom.toml")
    assert deep.run("init", str(deep.folder)).exit_code == 0
    deep.ok("customer", "add", BROOK)
    assert "too long for its control socket" in deep.refused("serve", code=1)


async def test_key_kinds_that_are_too_weak(closed: Closed) -> None:
    weak = asyncssh.generate_private_key("ssh-rsa", key_size=1024).export_public_key().decode()
    done = await asyncio.to_thread(closed.run, "engineer", "key", "add", "ana", weak)
    assert done.exit_code == 2
    assert "too weak" in done.stderr

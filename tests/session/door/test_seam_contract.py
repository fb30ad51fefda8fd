"""The private names of asyncssh that the seam relies on are still there, in the version that was probed."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path

import asyncssh
import pytest

from gateway.session import asyncssh_channel, asyncssh_cipher, asyncssh_seam
from gateway.session.asyncssh_channel import Editor
from gateway.session.asyncssh_seam import RELIES_ON, DoorConnection

PRIVATE_OF_CERTIFICATES = ("_key_id", "_serial")


def test_the_version_is_the_one_that_was_probed() -> None:
    assert asyncssh.__version__ == "2.24.1"


@pytest.mark.parametrize(("owner", "name", "reason"), RELIES_ON, ids=[name for _, name, _ in RELIES_ON])
def test_a_private_name_is_there(owner: type, name: str, reason: str) -> None:
    source = "".join(inspect.getsource(base) for base in owner.__mro__ if base.__module__.startswith("asyncssh"))
    assert hasattr(owner, name) or f"self.{name}" in source, reason


def test_certificates_still_carry_their_id_and_serial() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = key.generate_user_certificate(key, "the id", serial=9)
    assert [getattr(certificate, name) for name in PRIVATE_OF_CERTIFICATES] == ["the id", 9]


def test_every_private_name_of_the_seam_is_in_the_list() -> None:
    sources = [Path(module.__file__ or "").read_text() for module in (asyncssh_seam, asyncssh_channel, asyncssh_cipher)]
    tree = ast.parse("\n".join(sources).replace("from __future__ import annotations", ""))
    ours = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    base = "".join(inspect.getsource(c) for c in asyncssh.SSHServerConnection.__mro__ if "asyncssh" in c.__module__)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    theirs = {name for name in used - ours if f"self.{name} " in base or f"def {name}(" in base}
    assert theirs <= {name for _, name, _ in RELIES_ON}


async def test_the_guessed_packet_rule_is_still_needed() -> None:
    options = asyncssh.SSHServerConnectionOptions(server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")])
    connection = DoorConnection(asyncio.get_running_loop(), options)
    assert connection._ignore_first_kex is False
    assert "algorithm != peer_kex_algs[0]" in inspect.getsource(asyncssh.connection.SSHConnection._process_kexinit)


def test_building_an_editor_twice_builds_its_pattern_once() -> None:
    def build() -> Editor:
        return Editor(None, None, True, 10, 100, "xterm", 80)  # type: ignore[arg-type]

    first, second = build(), build()
    assert first._printable is second._printable
    second.register_key("\t", lambda line, pos: (line, pos))
    third = build()
    third.register_key("\t", lambda line, pos: (line, pos))
    assert second._printable is third._printable
    assert second._printable.match("plain text").group() == "plain text"

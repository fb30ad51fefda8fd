"""What stands at the control socket may be anything: the command line says so and ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, process


@pytest.fixture
def folder() -> Iterator[Path]:
    """A deployment with a short path: a socket's name has 107 bytes at most."""
    made = Path(tempfile.mkdtemp(prefix="frs"))
    (made / "data").mkdir()
    (made / "frameroom.toml").write_text("")
    yield made
    shutil.rmtree(made)


def answered(folder: Path, answer: bytes, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, asked of something that says `answer` to whatever comes, and hangs up."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "data" / "control.sock"))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = process("-c", str(folder / "frameroom.toml"), *words)
        thread.join()
    (folder / "data" / "control.sock").unlink()
    return done


@pytest.mark.parametrize(
    "answer",
    [b"garbage\n", b"[]\n", b"7\n", b"null\n", b'{"what": 1}\n', b'{"error": {}, "exit": "x"}\n', b"\xff\xfe\n",
     b'{"rows": 3}\n', b'{"progress": 3}\n', b"[" * 100_000 + b"\n"],
)  # fmt: skip
def test_nonsense(folder: Path, answer: bytes) -> None:
    done = answered(folder, answer, "customer", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no Frameroom, or another version" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("answer", [b"", b'{"resu', b'{"rows": []}\n'])
def test_a_process_that_ends_before_it_has_answered(folder: Path, answer: bytes) -> None:
    done = answered(folder, answer, "audit", "verify")
    assert done.returncode == 1
    assert "ended before it had answered" in done.stderr
    assert "Look whether it was done" in done.stderr
    assert "Traceback" not in done.stderr


def test_hostile_words_in_an_answer_do_not_reach_the_terminal(folder: Path) -> None:
    error = json.dumps({"error": "no\x1b]0;owned\x07 \x9b31m", "matches": ["\x1bc"], "next": "\u202e", "exit": 3})
    done = answered(folder, error.encode() + b"\n", "customer", "list")
    assert done.returncode == 3
    assert not set(done.stderr) & set("\x1b\x07\x9b\u202e")
    rows = json.dumps({"result": [{"id": "1", "name": "a\x1b[2Jb\x9b0m\u202e\nc"}]})
    for words in (("customer", "list"), ("customer", "list", "--json")):
        done = answered(folder, rows.encode() + b"\n", *words)
        assert done.returncode == 0
        assert not set(done.stdout) & set("\x1b\x9b\u202e")


def test_a_socket_that_belongs_to_somebody_else(folder: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    folder.chmod(0o755)
    (folder / "data").chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        path = folder / "data" / "control.sock"
        listening.bind(str(path))
        listening.listen()
        path.chmod(0o600)
        config = str(folder / "frameroom.toml")
        code = (
            f"import os, sys; sys.argv[1:] = ['-c', {config!r}, 'customer', 'list']\n"
            # All at once: our own Python may be root's alone to read.
            "import asyncio, config.load, gateway.wiring.app\n"
            "from gateway.cli.main import main\nos.setuid(65534)\nmain()"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "may not ask" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_nothing_answers(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "data" / "control.sock"))
        listening.listen()
        words = ["-c", str(folder / "frameroom.toml"), "customer", "list"]
        command = [sys.executable, "-m", "gateway.cli.main", *words]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert "Traceback" not in err

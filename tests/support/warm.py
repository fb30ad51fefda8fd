"""Our programs as processes that need not import anything: forked from one that has.

`python -m MODULE …` in all but that: own process, arguments, environment, standard streams, signals and exit code.
Importing is most of what starting costs, and the tests start hundreds. How a program starts for its users is looked at
by tests/cli/test_start.py and by those who start one from outside (tests/end_to_end/separate.py).
"""

from __future__ import annotations

import asyncio
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["gateway.cli.main", "gateway.wiring.serve", "tests.faults.process"])


def _be(words: Sequence[str], environment: Mapping[str, str], streams: Sequence[Connection]) -> None:
    """In the new process: what `python -m` does."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    # What this was forked from had other streams.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, 1, closefd=False) for n, mode in enumerate("rww"))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.path[1:1] = environment.get("PYTHONPATH", "").split(os.pathsep) if "PYTHONPATH" in environment else []
    sys.argv = ["", *words[1:]]
    code: Any = 0
    sys.modules.pop(words[0], None)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _start(words: Sequence[str], streams: Sequence[int], environment: Mapping[str, str] | None) -> BaseProcess:
    """`streams`: descriptors for 0, 1 and 2, which are closed here."""
    held = [Connection(one, readable=number == 0, writable=number != 0) for number, one in enumerate(streams)]
    process = _CONTEXT.Process(target=_be, args=(tuple(words), dict(environment or os.environ), held))
    try:
        process.start()
    finally:
        for one in held:
            one.close()
    return process


def run(
    *words: str, env: Mapping[str, str] | None = None, input: str = "", timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m WORDS…` to its end, with what it said; as subprocess.run has it."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(input.encode())
        given.seek(0)
        process = _start(words, [os.dup(file.fileno()) for file in (given, out, err)], env)
        process.join(timeout)
        code = process.exitcode
        if code is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(words), timeout or 0)
        process.close()
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode())
    return subprocess.CompletedProcess(list(words), code, *told)


@dataclass(slots=True)
class Process:
    """As asyncio's, of which it has what the tests use."""

    pid: int
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    _process: BaseProcess

    @property
    def returncode(self) -> int | None:
        """None while it runs; a signal's number below zero."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """To it alone; nothing when it is gone."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()

    async def wait(self) -> int:
        """Its exit code."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        if self._process.exitcode is None:
            loop.add_reader(self._process.sentinel, over.set)
            try:
                await over.wait()
            finally:
                loop.remove_reader(self._process.sentinel)
        self.stdin.close()
        code = self._process.exitcode
        assert code is not None
        return code


async def begin(*words: str, env: Mapping[str, str] | None = None) -> Process:
    """`python -m WORDS…`, with pipes to and from it."""
    ours, theirs = [], []
    for number in range(3):
        reading, writing = os.pipe()
        ours.append(writing if number == 0 else reading)
        theirs.append(reading if number == 0 else writing)
    process = await asyncio.to_thread(_start, words, theirs, env)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(ours[0], "wb"))
    readers = []
    for one in ours[1:]:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda reader=reader: asyncio.StreamReaderProtocol(reader), os.fdopen(one, "rb"))
        readers.append(reader)
    assert process.pid is not None
    return Process(process.pid, asyncio.StreamWriter(transport, protocol, None, loop), *readers, process)

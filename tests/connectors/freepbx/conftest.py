"""One MariaDB for all tests of a file, and a FreePBX of its own for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.freepbx.mariadb import MariaDb
from tests.support.freepbx.pbx import FreePbx, One

_NUMBER = count()
Makes = Callable[..., FreePbx]
PEOPLE = (
    One("20001", "Grace Okonkwo", "grace@customer.example", ("+442079460001",), md5="CANARY-md5",
        more={"recording_pin": "CANARY-recording", "imappassword": "CANARY-imap"}),
    One("20002", "Zoë de Vries", "zoe@customer.example", ("02079460002",)),
    One("0100", "John Smith", None, ("00442079460100",), portal=None, box_email="john@customer.example"),
    One("20003", "John Smith", None, (), pin=None),
)  # fmt: skip


@pytest.fixture(scope="session")
def server() -> Iterator[MariaDb]:
    """The database."""
    running = MariaDb()
    yield running
    running.stop()


@pytest.fixture
def made(server: MariaDb, tmp_path: Path) -> Iterator[Makes]:
    """Makes a FreePBX of the people named, or the usual ones."""
    every = list[FreePbx]()

    def make(*people: One) -> FreePbx:
        folder = tmp_path / f"pbx{len(every)}"
        every.append(FreePbx(server, folder, f"own{next(_NUMBER)}").make(people or PEOPLE))
        return every[-1]

    yield make
    for one in every:
        one.close()


@pytest.fixture
def pbx(made: Makes) -> FreePbx:
    """With the usual people."""
    return made()

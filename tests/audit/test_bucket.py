"""The same promises of a bucket as of a folder, on a real HTTP server that speaks S3 and honours conditions (moto)."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from audit.bucket import Bucket, BucketObjects
from audit.publisher import object_name
from audit.sequencer import LogBehind, Sequencer
from audit.storage import StorageError
from audit.tables import checkpoints, entries, logs

from .conftest import CUSTOMER, DEPLOYMENT, House
from .reported import Story


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of its own process, with the bucket "records" in it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/records", method="PUT")).close()
                break
            except OSError:
                assert server.poll() is None, "the S3 server ended"
                time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


def opened(endpoint: str, prefix: str) -> BucketObjects:
    return BucketObjects(Bucket("records", prefix, "eu-west-2", endpoint, "key", "secret"))


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> Iterator[BucketObjects]:
    made = opened(endpoint, "".join(c for c in request.node.name if c.isalnum()))
    yield made
    made.close()


def test_a_store_that_honours_conditions_passes_the_probe_and_keeps_nothing_of_it(bucket: BucketObjects) -> None:
    bucket.probe()
    assert list(bucket.list()) == []


@pytest.mark.parametrize("dropped", ["If-None-Match", "If-Match"])
def test_a_store_that_drops_a_condition_is_refused_at_start(endpoint: str, dropped: str, tmp_path: Path) -> None:
    with Relay(endpoint, dropped) as careless:
        objects = opened(careless, "p")
        try:
            with pytest.raises(StorageError, match=f"{dropped} is not honoured"):
                objects.probe()
        finally:
            objects.close()


def test_an_object_is_written_once_read_replaced_listed_and_removed(bucket: BucketObjects) -> None:
    assert bucket.put_new("recordings/cus_1/ses_1/0", b"first")
    assert not bucket.put_new("recordings/cus_1/ses_1/0", b"second")
    assert bucket.get("recordings/cus_1/ses_1/0") == b"first"
    assert bucket.get("recordings/cus_1/ses_1/1") is None
    bucket.put("log/cus_1/tile/0/000.p/3", b"x")
    bucket.put("log/cus_2/checkpoint", b"x")
    assert bucket.folders("log") == ["cus_1", "cus_2"]
    assert list(bucket.list("log")) == ["log/cus_1/tile/0/000.p/3", "log/cus_2/checkpoint"]
    assert list(bucket.list("log/cus_9")) == []
    bucket.remove("log/cus_2/checkpoint")
    bucket.remove("log/cus_2/checkpoint")
    assert bucket.folders("log") == ["cus_1"]


def test_many_writers_of_one_object_lose_no_update(endpoint: str) -> None:
    one, other = opened(endpoint, "many"), opened(endpoint, "many")
    try:

        def add_one(number: int) -> None:
            (one, other)[number % 2].update("log/cus_1/counter", lambda held: str(int(held or b"0") + 1).encode())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add_one, range(20)))
        assert one.get("log/cus_1/counter") == b"20"
    finally:
        one.close()
        other.close()


def test_a_bucket_that_is_away_is_said_in_words_without_its_keys() -> None:
    away = opened(f"http://127.0.0.1:{free_port()}", "p")
    try:
        with pytest.raises(StorageError) as raised:
            away.get("log/x")
        assert "secret" not in str(raised.value)
    finally:
        away.close()


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a//b", "a/.hidden", "a\0b"])
def test_names_that_leave_the_store_are_refused(bucket: BucketObjects, name: str) -> None:
    calls: tuple[Callable[[], Any], ...] = (
        lambda: bucket.put_new(name, b""), lambda: bucket.put(name, b""), lambda: bucket.get(name),
        lambda: bucket.remove(name),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(StorageError):
            call()


async def test_a_log_in_a_bucket_is_published_verified_and_never_goes_on_behind_itself(
    house: House, bucket: BucketObjects
) -> None:
    house.objects = bucket  # type: ignore[assignment]
    house.sequencer = Sequencer(house.signer, DEPLOYMENT, bucket)
    await Story(house).whole()
    report = await house.verify()
    assert report.ok, [str(fault) for fault in report.faults]
    assert bucket.get(object_name(CUSTOMER))
    async with house.engine.begin() as connection:
        before = (await connection.execute(select(logs).where(logs.c.log_id == CUSTOMER))).one()
    await Story(house).visited("ses_" + "a" * 24, "op_" + "a" * 24)
    await house.sequence()
    async with house.engine.begin() as connection:
        await connection.execute(delete(checkpoints).where(checkpoints.c.size > before.size))
        await connection.execute(delete(entries).where(entries.c.idx >= before.size))
        await connection.execute(update(logs).values(size=before.size, frontier=before.frontier))
        with pytest.raises(LogBehind, match="set back"):
            await Sequencer(house.signer, DEPLOYMENT, bucket).check_not_behind(connection)


class Relay:
    """A store that ignores one condition: every request is passed on without that header."""

    def __init__(self, endpoint: str, dropped: str) -> None:
        self._host, self._port = endpoint.removeprefix("http://").split(":")
        self._dropped = dropped.lower().encode()

    def __enter__(self) -> str:
        ready: Any = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, OSError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(self._dropped + b":")]
                    sizes = [line.split(b":")[1] for line in lines if line.lower().startswith(b"content-length:")]
                    body = await reader.readexactly(int(sizes[0])) if sizes else b""
                    lines = [line for line in lines if not line.lower().startswith(b"connection:")]
                    lines.insert(1, b"Connection: close")
                    theirs, ours = await asyncio.open_connection(self._host, int(self._port))
                    ours.write(b"\r\n".join(lines) + body)
                    writer.write(await theirs.read())
                    ours.close()
                    await writer.drain()
                    break
            writer.close()

        async def begin() -> None:
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        self._task = self._loop.create_task(begin())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

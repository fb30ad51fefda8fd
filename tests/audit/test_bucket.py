"""The same promises of a bucket as of a folder, on a real HTTP server that speaks S3 and honours conditions (moto)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import delete, select, update

from audit.bucket import BucketObjects
from audit.publisher import object_name
from audit.sequencer import LogBehind, Sequencer
from audit.storage import StorageError
from audit.tables import checkpoints, entries, logs
from tests.support.s3 import Relay, Server, free_port, relays_allowed, serving, without

from .conftest import CUSTOMER, DEPLOYMENT, House
from .reported import Story


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With the bucket "records" in it."""
    with serving() as made:
        with suppress(ClientError):  # another server than ours may have it from an earlier run
            made.client().create_bucket(Bucket="records")
        yield made


@pytest.fixture
def bucket(server: Server, request: pytest.FixtureRequest) -> Iterator[BucketObjects]:
    made = server.objects("records", "".join(c for c in request.node.name if c.isalnum()))
    yield made
    made.close()


def test_a_store_that_honours_conditions_passes_the_probe_and_keeps_nothing_of_it(bucket: BucketObjects) -> None:
    bucket.probe()
    assert list(bucket.list()) == []


@relays_allowed
@pytest.mark.parametrize("dropped", ["If-None-Match", "If-Match"])
def test_a_store_that_drops_a_condition_is_refused_at_start(server: Server, dropped: str) -> None:
    with Relay(server.url, without(dropped)) as careless:
        objects = replace(server, url=careless).objects("records", "p")
        try:
            with pytest.raises(StorageError, match=f"{dropped} is not honoured"):
                objects.probe()
        finally:
            objects.close()


def never_matching(lines: list[bytes]) -> list[bytes]:
    return [b'If-Match: "0"' if line.lower().startswith(b"if-match:") else line for line in lines]


@relays_allowed
def test_a_store_that_takes_no_conditional_write_at_all_is_refused_at_start(server: Server) -> None:
    with Relay(server.url, never_matching) as careless:
        objects = replace(server, url=careless).objects("records", "p")
        try:
            with pytest.raises(StorageError, match="If-Match is not understood"):
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


def test_many_writers_of_one_object_lose_no_update(server: Server) -> None:
    one, other = server.objects("records", "many"), server.objects("records", "many")
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
    away = Server(f"http://127.0.0.1:{free_port()}").objects("records", "p")
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

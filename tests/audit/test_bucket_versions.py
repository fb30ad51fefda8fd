"""A bucket that keeps versions and locks them: what is called deleted is gone, what is locked is said to be locked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from audit.bucket import BucketObjects
from audit.storage import StorageError
from audit.versions import Locked
from tests.support.s3 import NAMED, Relay, Server, serving

NAME = "recordings/cus_1/ses_1/0"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def locking(server: Server) -> str:
    return server.locking()


@pytest.fixture
def objects(server: Server, locking: str) -> Iterator[BucketObjects]:
    made = server.objects(locking, "frameroom")
    yield made
    made.close()


def kept(server: Server, bucket: str) -> list[str]:
    """Every version and marker that is still there, whoever hid it."""
    found = server.client().list_object_versions(Bucket=bucket)
    return [v["Key"] for v in found.get("Versions", [])] + [m["Key"] for m in found.get("DeleteMarkers", [])]


def newest(server: Server, bucket: str) -> str:
    return server.client().head_object(Bucket=bucket, Key=f"frameroom/{NAME}")["VersionId"]


def test_no_version_of_what_was_removed_can_be_had_back(server: Server, locking: str, objects: BucketObjects) -> None:
    for data in (b"first", b"second"):
        objects.put(NAME, data)
    objects.put(f"{NAME}1", b"a name that begins alike")
    server.client().delete_object(Bucket=locking, Key=f"frameroom/{NAME}")  # somebody hid it already
    objects.remove(NAME)
    objects.remove(NAME)
    assert objects.get(NAME) is None
    assert kept(server, locking) == [f"frameroom/{NAME}1"]


@pytest.mark.parametrize("older", [False, True])
def test_what_is_locked_stays_whole_and_in_sight_and_says_until_when(
    server: Server, locking: str, objects: BucketObjects, older: bool
) -> None:
    objects.put(NAME, b"sealed")
    server.client().put_object_retention(
        Bucket=locking, Key=f"frameroom/{NAME}", VersionId=newest(server, locking),
        Retention={"Mode": "COMPLIANCE", "RetainUntilDate": SOON},
    )  # fmt: skip
    if older:
        objects.put(NAME, b"newer")
    with pytest.raises(Locked, match=f"{NAME} is locked until {SOON.date().isoformat()}"):
        objects.remove(NAME)
    assert objects.get(NAME) == (b"newer" if older else b"sealed")
    assert len(kept(server, locking)) == 1 + older, "nothing of it was removed, and no marker hides it"


def test_a_legal_hold_of_the_store_keeps_it_too(server: Server, locking: str, objects: BucketObjects) -> None:
    objects.put(NAME, b"sealed")
    hold = {"Bucket": locking, "Key": f"frameroom/{NAME}", "VersionId": newest(server, locking)}
    server.client().put_object_legal_hold(**hold, LegalHold={"Status": "ON"})  # type: ignore[arg-type]
    with pytest.raises(Locked, match="legal hold"):
        objects.remove(NAME)
    assert objects.get(NAME) == b"sealed"
    server.client().put_object_legal_hold(**hold, LegalHold={"Status": "OFF"})  # type: ignore[arg-type]
    objects.remove(NAME)
    assert kept(server, locking) == []


def summed(lines: list[bytes]) -> list[bytes]:
    """A bucket that locks what comes wants a sum of it. moto takes none but that of Amazon's own libraries, which
    name its kind in one header more; a request without any sum is refused here as there."""
    if any(line.lower().startswith(b"x-amz-checksum-sha256:") for line in lines):
        lines.insert(1, b"x-amz-sdk-checksum-algorithm: SHA256")
    return lines


def test_a_bucket_that_locks_whatever_comes_is_taken(server: Server, locking: str) -> None:
    server.client().put_object_lock_configuration(
        Bucket=locking,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        },
    )  # fmt: skip
    with nullcontext(server.url) if NAMED else Relay(server.url, summed) as relayed:
        objects = replace(server, url=relayed).objects(locking, "frameroom")
        try:
            objects.probe()
            objects.put(NAME, b"sealed")
            with pytest.raises(Locked):
                objects.remove(NAME)
        finally:
            objects.close()


def test_the_bucket_being_away_is_said_in_words_without_its_keys(server: Server) -> None:
    gone = server.objects("no-such-bucket-here")
    try:
        with pytest.raises(StorageError, match="the bucket could not say whether it keeps versions") as raised:
            gone.remove(NAME)
        assert server.secret not in str(raised.value) or server.secret == "secret"
        assert raised.value.__cause__ is None
    finally:
        gone.close()

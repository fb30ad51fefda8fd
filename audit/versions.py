"""Taking an object away for good from a bucket that keeps versions, as one with object lock must.

There, removing a name alone hides the newest version behind a marker and keeps all of them: what a record of deletion
calls gone would still be there to read. So every version goes, one by one, and what a lock keeps is said with its day.
obstore knows no versions; boto3, the protocol's own reference, is asked for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from audit.storage import StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from audit.bucket import Bucket

_DENIED: Final = ("AccessDenied", "InvalidRequest")
"""What stores say of a version under a lock: Amazon's and Ceph's the first, others the second."""


class Locked(StorageError):
    """An object that its bucket keeps until a day that has not come."""


class Versions:
    """The versions in one bucket. Blocking, safe from any thread."""

    def __init__(self, bucket: Bucket) -> None:
        import boto3  # half a second, and only what speaks to a bucket needs it
        from botocore.config import Config

        self._bucket = bucket.name
        self._prefix = f"{bucket.prefix.strip('/')}/" if bucket.prefix.strip("/") else ""
        self._client: S3Client = boto3.client(
            "s3", region_name=bucket.region, endpoint_url=bucket.endpoint, aws_access_key_id=bucket.access_key,
            aws_secret_access_key=bucket.secret_key,
            config=Config(
                connect_timeout=10, read_timeout=10, retries={"total_max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
            ),
        )  # fmt: skip
        self._kept: bool | None = None

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def kept(self) -> bool:
        """True when this bucket keeps, or once kept, versions; asked once. StorageError."""
        if self._kept is None:
            with _words("say whether it keeps versions"):
                self._kept = "Status" in self._client.get_bucket_versioning(Bucket=self._bucket)
        return self._kept

    def remove(self, name: str) -> None:
        """Every version of an object. Locked, and nothing of it is hidden, when one of them is; StorageError."""
        key = self._prefix + name
        with _words(f"remove {name}"):
            found = list(self._of(key))
            until = max((day for version, marker in found if not marker and (day := self._until(key, version))),
                        default=None)  # fmt: skip
        if until is not None:
            raise Locked(f"{name} is locked until {until}")
        for version, _ in found:
            with _words(f"remove {name}", f"{name} is locked"):
                self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)

    def _of(self, key: str) -> Iterator[tuple[str, bool]]:
        """Of this very name: version, and whether it is a marker that hides the others."""
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key):
            for version in page.get("Versions", ()):
                if version["Key"] == key:
                    yield version["VersionId"], False
            for marker in page.get("DeleteMarkers", ()):
                if marker["Key"] == key:
                    yield marker["VersionId"], True

    def _until(self, key: str, version: str) -> str | None:
        """The day until which it is locked, "it is released" under a legal hold, None when it is free."""
        head = self._client.head_object(Bucket=self._bucket, Key=key, VersionId=version)
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return "the store's legal hold on it is released"
        until = head.get("ObjectLockRetainUntilDate")
        return until.date().isoformat() if until is not None and until > datetime.now(UTC) else None


class _words:
    """In place of the library's errors, which may hold addresses and headers: what could not be done."""

    def __init__(self, what: str, denied: str = "") -> None:
        self._what, self._denied = what, denied

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", "?"))[:40]
            if self._denied and code in _DENIED:
                raise Locked(f"{self._denied}, or its bucket allows us no deletion of versions ({code})") from None
            raise StorageError(f"the bucket could not {self._what} ({code})") from None
        if isinstance(error, BotoCoreError | OSError):
            raise StorageError(f"the bucket could not {self._what} ({type(error).__name__})") from None

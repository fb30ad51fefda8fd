"""Objects in an S3-compatible bucket, with the conditional writes that a log needs: two nodes never fork it.

obstore's calls are asynchronous; ours block, since most of what stores objects runs in threads anyway. So they run on
an event loop of their own, in one thread for each bucket.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import S3Store

from audit.storage import StorageError, object_parts
from audit.versions import Locked, Versions

T = TypeVar("T")

# obstore raises Python's own errors for some of these, as its documentation says of local stores only.
_MISSING: Final = (NotFoundError, FileNotFoundError)
_TAKEN: Final = (AlreadyExistsError, PreconditionError, FileExistsError)
_TOLD: Final = (*_MISSING, *_TAKEN)
_TRIES: Final = 50
_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where: `prefix` is the folder in it, "" for none; `endpoint` is None for Amazon's own."""

    name: str
    prefix: str
    region: str
    endpoint: str | None
    access_key: str
    secret_key: str


class BucketObjects:
    """The objects of one deployment (audit/storage.py, `Objects`)."""

    def __init__(self, bucket: Bucket) -> None:
        plain_http = bucket.endpoint is not None and bucket.endpoint.startswith("http://")
        options: dict[str, Any] = {"endpoint": bucket.endpoint} if bucket.endpoint else {}
        self._store = S3Store(
            bucket.name, prefix=bucket.prefix or None, region=bucket.region, access_key_id=bucket.access_key,
            secret_access_key=bucket.secret_key, virtual_hosted_style_request=False,
            checksum_algorithm="SHA256",  # a bucket with object lock takes no object without one
            client_options={"allow_http": plain_http, "timeout": timedelta(seconds=10)},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)}, **options,
        )  # fmt: skip
        self._bucket = bucket
        self._versions: Versions | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bucket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of the bucket."""
        if self._versions is not None:
            self._versions.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT_S)
        except (*_TOLD, StorageError):
            raise
        except (BaseError, OSError, TimeoutError) as error:
            # The library's own words may hold addresses and request headers.
            raise StorageError(f"the bucket could not {what} ({type(error).__name__})") from error

    def probe(self) -> None:
        """At start: the bucket answers, and refuses a write whose condition does not hold. StorageError otherwise."""
        name = f"probe/{secrets.token_hex(8)}"
        try:
            if not self.put_new(name, b"1") or self.put_new(name, b"2") or self.get(name) != b"1":
                raise StorageError(
                    "the bucket takes a second write of an object that is there (If-None-Match is not honoured): two "
                    "nodes could fork the log in it. Use a store that honours it."
                )
            stale = self._do("look", self._tag(name))
            self.put(name, b"3")
            if self._swap(name, b"4", stale) or self.get(name) != b"3":
                raise StorageError(
                    "the bucket takes a write over an object that was changed meanwhile (If-Match is not honoured): "
                    "two nodes could fork the log in it. Use a store that honours it."
                )
            if not self._swap(name, b"5", self._do("look", self._tag(name))):
                raise StorageError(
                    "the bucket refuses a write over an object that nobody changed meanwhile (If-Match is not "
                    "understood): no checkpoint could follow another in it. Use a store that understands it."
                )
        finally:
            # Where the bucket locks whatever comes, these few bytes stay until their lock ends.
            with suppress(Locked):
                self.remove(name)

    async def _tag(self, name: str) -> str | None:
        return (await obstore.head_async(self._store, name))["e_tag"]

    def put_new(self, name: str, data: bytes) -> bool:
        """Store a new object; False when the name is taken. StorageError."""
        object_parts(name)
        try:
            self._do(f"store {name}", self._put(name, data, "create"))
        except _TAKEN:
            return False
        return True

    def put(self, name: str, data: bytes) -> None:
        """Store or replace an object. StorageError."""
        object_parts(name)
        self._do(f"store {name}", self._put(name, data, "overwrite"))

    async def _put(self, name: str, data: bytes, mode: Any) -> None:
        await obstore.put_async(self._store, name, data, mode=mode, use_multipart=False)

    def get(self, name: str) -> bytes | None:
        """The object's bytes, or None. StorageError when it is there and cannot be read."""
        found = self._held(name)
        return None if found is None else found[0]

    def _held(self, name: str) -> tuple[bytes, str | None] | None:
        object_parts(name)
        try:
            return self._do(f"read {name}", self._get(name))
        except _MISSING:
            return None

    async def _get(self, name: str) -> tuple[bytes, str | None]:
        found = await obstore.get_async(self._store, name)
        return bytes(await found.bytes_async()), found.meta["e_tag"]

    def update(self, name: str, decide: Callable[[bytes | None], bytes | None]) -> bool:
        """Compare and swap, on the object's entity tag. True when it was replaced."""
        for _ in range(_TRIES):
            held = self._held(name)
            data = decide(held[0] if held else None)
            if data is None:
                return False
            if self.put_new(name, data) if held is None else self._swap(name, data, held[1]):
                return True
        raise StorageError(f"the bucket could not update {name}: others did all the time")

    def _swap(self, name: str, data: bytes, tag: str | None) -> bool:
        try:
            self._do(f"update {name}", self._put(name, data, {"e_tag": tag}))
        except _TOLD:
            return False
        return True

    def remove(self, name: str) -> None:
        """Take an object away, with every version that the bucket keeps of it; nothing when there is none.

        Locked when the bucket keeps it until a day; StorageError.
        """
        object_parts(name)
        if self._kept_versions().kept():
            self._kept_versions().remove(name)
            return
        try:
            self._do(f"remove {name}", self._delete(name))
        except _MISSING:
            return

    def _kept_versions(self) -> Versions:
        if self._versions is None:
            self._versions = Versions(self._bucket)
        return self._versions

    async def _delete(self, name: str) -> None:
        await obstore.delete_async(self._store, name)

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right under a folder, without it, sorted. StorageError."""
        found = self._do(f"list {prefix}", self._folders(prefix))
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    async def _folders(self, prefix: str) -> list[str]:
        return list((await obstore.list_with_delimiter_async(self._store, prefix))["common_prefixes"])

    def list(self, prefix: str = "") -> Iterator[str]:
        """Names under a folder, or of everything, sorted. StorageError."""
        yield from sorted(self._do(f"list {prefix}", self._list(prefix)))

    async def _list(self, prefix: str) -> set[str]:
        found: set[str] = set()
        async for page in obstore.list(self._store, prefix or None):
            found |= {str(item["path"]) for item in page}
        return found

"""A real HTTP server that speaks S3 and honours conditions, versions and object lock: moto, in a process of its own.

`FRAMEROOM_S3` names another one (`http://KEY:SECRET@HOST:PORT`): `make test-vendor` then asks the same of it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from audit.bucket import Bucket, BucketObjects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


NAMED = os.environ.get("FRAMEROOM_S3")
relays_allowed = pytest.mark.skipif(
    NAMED is not None, reason="a store that checks signatures takes no request that was changed on its way"
)


@dataclass(frozen=True)
class Server:
    """Where it is, and who may."""

    url: str
    key: str = "key"
    secret: str = "secret"

    def client(self) -> S3Client:
        """For what the program itself never asks: making buckets, locking, looking behind its back."""
        return boto3.client(
            "s3", region_name="us-east-1", endpoint_url=self.url, aws_access_key_id=self.key,
            aws_secret_access_key=self.secret, config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip

    def locking(self) -> str:
        """The name of a new bucket with object lock, which keeps versions therefore."""
        name = f"locked-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        return name

    def objects(self, bucket: str, prefix: str = "") -> BucketObjects:
        """As Frameroom opens it."""
        return BucketObjects(Bucket(bucket, prefix, "us-east-1", self.url, self.key, self.secret))


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving() -> Iterator[Server]:
    """The server, until the block ends."""
    if NAMED is not None:
        at = urlsplit(NAMED)
        yield Server(f"{at.scheme}://{at.hostname}:{at.port}", at.username or "", at.password or "")
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(url).close()
                break
            except OSError:
                assert server.poll() is None, "the S3 server ended"
                time.sleep(0.1)
        yield Server(url)
    finally:
        server.kill()
        server.wait()


def without(header: str) -> Callable[[list[bytes]], list[bytes]]:
    """A head without that header."""
    start = f"{header.lower()}:".encode()
    return lambda lines: [line for line in lines if not line.lower().startswith(start)]


class Relay:
    """A store that reads other headers than were sent: every request is passed on with its head changed so."""

    def __init__(self, endpoint: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
        self._host, self._port = endpoint.removeprefix("http://").split(":")
        self._change = change

    def __enter__(self) -> str:
        ready: Any = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, OSError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    lines = self._change(head.split(b"\r\n"))
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

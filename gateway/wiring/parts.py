"""What a deployment is made of, short of anything that listens: keys, database, log, object store."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import func, select

from audit.bucket import Bucket, BucketObjects
from audit.checkpoint import Signer
from audit.clock import LogClock
from audit.log import AuditLog
from audit.masters import MasterKeys
from audit.publisher import object_name
from audit.restored import Loss, accept
from audit.sealing import FileKeyStore
from audit.sequencer import Sequencer
from audit.steps import Step, Steps
from audit.storage import LocalObjects, Objects, StorageError
from audit.tables import entries
from config.settings import Keys, Settings
from connectors.registry import NotOffered, also
from gateway import notify
from gateway.access.asking import Asking
from gateway.access.channels import Channels
from gateway.access.directory import Directory
from gateway.access.permission import Permission
from gateway.errors import UnavailableError
from gateway.identity.engineers import Engineers
from gateway.identity.staff import Staff
from gateway.store.engine import Store
from gateway.vault import Vault
from gateway.wiring.masters import make_master, open_masters, remarks
from gateway.wiring.signing import Signing, signing, write_key

_PUBLISHED_AT_ONCE: Final = 4


def database_url(settings: Settings) -> str:
    """The configured database, or the file in data_dir."""
    return settings.storage.database_url or f"sqlite:///{settings.storage.data_dir / 'frameroom.db'}"


def make_keys(folder: Path, keys: Keys | None = None) -> None:
    """Master key (in a file, or where `keys` says), log signing key and host key; FileExistsError when there are any.

    UnavailableError when the master key is to be in a token that cannot be used.
    """
    import asyncssh  # what opens a deployment makes no key

    make_master(folder, keys or Keys())
    write_key(folder / "log-signing.pem")
    for name, data in (
        ("ssh_host_ed25519", asyncssh.generate_private_key("ssh-ed25519").export_private_key()),
        ("ssh_host_ecdsa", asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key()),
    ):
        path = folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)


log = structlog.get_logger()


@dataclass(slots=True)
class Parts:
    """Everything that does not listen: enough for the command line's own work."""

    settings: Settings
    store: Store
    audit: AuditLog
    objects: Objects
    masters: MasterKeys
    keys: FileKeyStore
    vault: Vault
    signing: Signing
    sequencer: Sequencer
    engineers: Engineers
    staff: Staff
    directory: Directory
    permission: Permission
    steps: Steps
    ways: notify.Ways
    channels: Channels
    asking: Asking
    unpublished: dict[str, str] = field(default_factory=dict)
    """Log and newest signed checkpoint of what the object store does not have yet."""
    stuck_since: float | None = None
    """Since when (`time.monotonic`) some log's checkpoint could not be published; None while all can."""

    @property
    def signer(self) -> Signer:
        """Signs the log."""
        return self.signing.signer

    def published(self, log: str) -> bytes | None:
        """A log's published checkpoint. Blocks; StorageError."""
        return self.objects.get(object_name(log))

    async def sequence(self) -> int:
        """Give every waiting entry its place and publish the checkpoints; in how many logs there were any."""
        async with self.store.look_at_everyone() as scope:
            logs = await self.sequencer.unsequenced(scope.connection)
        for log in logs:
            async with self.store.scope(log) as scope:
                note = await self.sequencer.integrate(scope.connection, log)
            if note is not None:
                await self.steps.reached(Step.SIGNED)
                self.unpublished[log] = note
        await self.publish()
        return len(logs)

    async def publish(self) -> None:
        """Publish what is signed, several logs at a time. StorageError: what could not be published waits for the
        next call."""
        several = asyncio.Semaphore(_PUBLISHED_AT_ONCE)

        async def one(log: str, note: str) -> None:
            async with several, self.store.look(log) as scope:
                await self.sequencer.publish(scope.connection, log, note)
            if self.unpublished.get(log) == note:
                del self.unpublished[log]

        # All of them, whatever becomes of one: a log that cannot be published holds up no other customer's.
        done = await asyncio.gather(*(one(*item) for item in tuple(self.unpublished.items())), return_exceptions=True)
        errors = [error for error in done if error is not None]
        self.stuck_since = (self.stuck_since or time.monotonic()) if errors else None
        for error in errors:
            raise error

    @property
    def stuck_s(self) -> float:
        """For how long some checkpoint could not be published."""
        return 0.0 if self.stuck_since is None else time.monotonic() - self.stuck_since

    async def catch_up(self) -> list[Loss]:
        """Number what only waits for its index where the object store knows the result already; the true losses."""
        async with self.store.look_at_everyone() as scope:
            losses = await self.sequencer.losses(scope.connection)
        for loss in losses:
            if not loss.lost:
                async with self.store.scope(loss.log) as scope:
                    await self.sequencer.integrate(scope.connection, loss.log, loss.held.size - loss.size)
        return [loss for loss in losses if loss.lost]

    async def accept(self, losses: list[Loss], actor: str) -> None:
        """Go on without what is lost, for good and visibly (audit/restored.py)."""
        for loss in losses:
            async with self.store.scope(loss.log) as scope:
                await accept(scope.connection, self.audit, self.objects, loss, actor)
        await self.sequence()


@asynccontextmanager
async def parts(settings: Settings, steps: Steps | None = None, *, behind: bool = False) -> AsyncIterator[Parts]:
    """Open the deployment. UnavailableError when another process has it, a key is not as it should be, or a connector
    that the configuration names cannot be had; LogBehind when its log must not go on, unless `behind` says that the
    caller deals with that.
    """
    data = settings.storage.data_dir
    try:
        also(settings.connectors.also)
    except NotOffered as error:
        raise UnavailableError(error.message, next_step=error.next_step) from error
    masters = await asyncio.to_thread(open_masters, data / "keys", settings.keys)
    for remark in remarks(masters, settings.keys):
        log.warning(remark)
    keys = await asyncio.to_thread(FileKeyStore, data / "keyring", masters)
    vault = await asyncio.to_thread(Vault, keys)
    objects, clock = await asyncio.to_thread(_objects, settings), LogClock()
    signed = signing(data / "keys", settings.deployment.name, objects)
    store = Store(database_url(settings))
    lock = _only_process(data) if store.is_sqlite else None
    audit = AuditLog(keys, clock)
    ways = _ways(settings)
    sequencer = Sequencer(signed.signer, settings.deployment.name, objects, steps, signed.trusted)
    try:
        opened = Parts(
            settings, store, audit, objects, masters, keys, vault, signed, sequencer, Engineers(store, audit, vault),
            Staff(store, audit), Directory(store, audit, vault, settings.deployment.company_domains),
            Permission(store, audit), steps or Steps(), ways, Channels(store, audit, vault, notify.Carrier(ways)),
            Asking(store, audit),
        )  # fmt: skip
        opened.permission.pages = lambda: settings.portal.url or f"http://localhost:{settings.portal.port}"
        await opened.catch_up()
        async with store.look_at_everyone() as scope:
            if not behind:
                await sequencer.check_not_behind(scope.connection)
            clock.observe((await scope.execute(select(func.max(entries.c.time_ms)))).scalar() or 0)
        yield opened
        if not behind:
            try:
                await opened.sequence()
            except StorageError as error:
                # Signed and in the database: the next start publishes them.
                log.error("the last checkpoints could not be published", why=str(error))
    finally:
        await store.close()
        if isinstance(objects, BucketObjects):
            objects.close()
        if lock is not None:
            os.close(lock)


def _ways(settings: Settings) -> notify.Ways:
    telling = settings.telling
    return notify.Ways(telling.schemes, telling.networks, telling.text_url)


def _objects(settings: Settings) -> LocalObjects | BucketObjects:
    """The folder, or the bucket, which must honour conditional writes: StorageError otherwise."""
    bucket = settings.bucket
    if bucket.name is None:
        return LocalObjects(settings.storage.data_dir / "objects")
    objects = BucketObjects(
        Bucket(bucket.name, bucket.prefix, bucket.region, bucket.endpoint, bucket.access_key or "",
               bucket.secret_key or "")
    )  # fmt: skip
    try:
        objects.probe()
    except StorageError:
        objects.close()
        raise
    return objects


def _only_process(data: Path) -> int:
    # SQLite is never shared between processes: who holds this lock is the one.
    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UnavailableError(
            "another Frameroom process has this deployment open",
            next_step="The command line talks to a running `frameroom serve` by itself; is it still starting?",
        ) from error
    return lock


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema (the owner's connection)."""
    from gateway.store import schema  # Alembic is for those who change the database

    schema.upgrade(settings.storage.owner_url or database_url(settings))

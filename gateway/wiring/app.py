"""One running Frameroom: its parts, put together from the settings, started and stopped in order."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from audit.checkpoint import Signer
from audit.clock import LogClock
from audit.events import OPERATOR_LOG, Event
from audit.log import AuditLog
from audit.recording.recorder import Limits, Recorder, recover
from audit.sealing import FileKeyStore, FileMasterKey
from audit.sequencer import Sequencer
from audit.steps import Step, Steps
from audit.storage import LocalObjects
from audit.tables import entries
from config.settings import Settings
from gateway.access.directory import Directory
from gateway.access.permission import Permission
from gateway.errors import FrameroomError, UnavailableError
from gateway.identity.engineers import Engineers
from gateway.notify import MailSettings, Postman
from gateway.portal.once import OneTimePages
from gateway.session.commands import Commands
from gateway.session.deliver import ResetServer
from gateway.session.resets import Resets
from gateway.session.session import Visits
from gateway.session.shell import Shell
from gateway.session.ssh_server import Door, DoorSettings
from gateway.store import schema
from gateway.store.engine import Store
from gateway.vault import Vault
from gateway.wiring.node import Node

_SEQUENCE_S = 0.25


def database_url(settings: Settings) -> str:
    """The configured database, or the file in data_dir."""
    return settings.storage.database_url or f"sqlite:///{settings.storage.data_dir / 'frameroom.db'}"


def make_keys(folder: Path) -> None:
    """Master key, log signing key and host key; FileExistsError when there are any."""
    folder.mkdir(parents=True, mode=0o700)
    FileMasterKey.create(folder / "master.key")
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, data in (
        ("log-signing.pem", pem),
        ("ssh_host_ed25519", asyncssh.generate_private_key("ssh-ed25519").export_private_key()),
        ("ssh_host_ecdsa", asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key()),
    ):
        path = folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)


@dataclass(slots=True)
class Parts:
    """Everything that does not listen: enough for the command line's own work."""

    settings: Settings
    store: Store
    audit: AuditLog
    objects: LocalObjects
    keys: FileKeyStore
    vault: Vault
    signer: Signer
    sequencer: Sequencer
    engineers: Engineers
    directory: Directory
    permission: Permission
    steps: Steps

    async def sequence(self) -> None:
        """Give every waiting entry its place and publish the checkpoints."""
        async with self.store.look_at_everyone() as scope:
            logs = await self.sequencer.unsequenced(scope.connection)
        for log in logs:
            async with self.store.scope(log) as scope:
                note = await self.sequencer.integrate(scope.connection, log)
            if note is not None:
                await self.steps.reached(Step.SIGNED)
                self.sequencer.publish(log, note)


@asynccontextmanager
async def parts(settings: Settings, steps: Steps | None = None) -> AsyncIterator[Parts]:
    """Open the deployment. UnavailableError when another process has it, or its log must not go on."""
    data = settings.storage.data_dir
    master = FileMasterKey.load(data / "keys" / "master.key")
    signing = load_pem_private_key((data / "keys" / "log-signing.pem").read_bytes(), None)
    if not isinstance(signing, Ed25519PrivateKey):
        raise UnavailableError("the log's signing key is not an Ed25519 key")
    store = Store(database_url(settings))
    lock = _only_process(data) if store.is_sqlite else None
    objects, clock = LocalObjects(data / "objects"), LogClock()
    keys, vault = FileKeyStore(data / "keyring", master), Vault(master)
    audit = AuditLog(keys, clock)
    signer = Signer(settings.deployment.name, signing)
    sequencer = Sequencer(signer, settings.deployment.name, objects)
    try:
        async with store.look_at_everyone() as scope:
            await sequencer.check_not_behind(scope.connection)
            clock.observe((await scope.execute(select(func.max(entries.c.time_ms)))).scalar() or 0)
        opened = Parts(
            settings, store, audit, objects, keys, vault, signer, sequencer, Engineers(store, audit, vault),
            Directory(store, audit, vault, settings.deployment.company_domains), Permission(store, audit),
            steps or Steps(),
        )  # fmt: skip
        yield opened
        await opened.sequence()
    finally:
        await store.close()
        if lock is not None:
            os.close(lock)


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


class App:
    """A serving Frameroom."""

    def __init__(self, opened: Parts, resets: ResetServer) -> None:
        self.parts = opened
        settings = opened.settings
        recording = settings.recording
        limits = Limits(
            batch_ms=recording.batch_ms, max_lag_ms=recording.max_lag_ms,
            session_quota_bytes=recording.session_quota_mb << 20, refuse_free_percent=recording.refuse_free_percent,
        )  # fmt: skip
        data = settings.storage.data_dir
        self._recovered = {r.session: r.segments for r in recover(data / "journal", opened.objects, opened.keys)}
        self.recorder = Recorder(data / "journal", opened.objects, opened.keys, limits)
        self.recorder.steps = opened.steps
        self.node = Node(data, alone=opened.store.is_sqlite)
        self.visits = Visits(
            opened.store, opened.audit, opened.permission, self.recorder, opened.vault, self.node, opened.steps
        )
        mail = settings.mail
        self.mail = MailSettings(
            mail.host, mail.port, mail.sender, mail.tls, mail.username, mail.password, mail.ca_file
        )
        self.portal_port = self.ops_port = 0
        self.commands = Commands(self.visits, Resets(self.visits, resets, self.mail, self.portal_url), opened.directory)
        host_keys = [
            asyncssh.read_private_key(str(data / "keys" / name)) for name in ("ssh_host_ed25519", "ssh_host_ecdsa")
        ]
        ssh = settings.ssh
        self.door = Door(
            DoorSettings(
                ssh.host, ssh.port, ssh.login_grace_s, ssh.factor_grace_s, ssh.max_connection_hours * 3600,
                max_channels=ssh.max_channels, proxy_from=ssh.proxy_from, user_ca_keys=ssh.user_ca_keys,
            ),
            host_keys, opened.engineers, Shell(self.commands, self.visits),
        )  # fmt: skip
        self.ready = asyncio.Event()

    def portal_url(self) -> str:
        """What links in mails begin with."""
        return self.parts.settings.portal.url or f"http://localhost:{self.portal_port}"

    async def run(self) -> None:
        """Serve until cancelled."""
        opened = self.parts
        left = await self.visits.close_leftovers(self._recovered)
        self.node.bury()
        await self._operator("log.started", {"node": self.node.id, "behind_ms": opened.audit.clock.behind_ms()})
        pages = OneTimePages(opened.store, opened.audit, opened.settings.deployment.ring)
        portal = _server(pages.app(), opened.settings.portal.host, opened.settings.portal.port)
        ops = _server(self._ops(left), opened.settings.ops.host, opened.settings.ops.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.recorder.run())
                group.create_task(self.visits.run())
                group.create_task(self._sequence_loop())
                group.create_task(self._minute_loop())
                group.create_task(Postman(opened.store, opened.audit, self.mail).run())
                self.portal_port = await _start(group, portal)
                self.ops_port = await _start(group, ops)
                group.create_task(self.door.run())
                await self.door.ready.wait()
                self.ready.set()
        finally:
            self.recorder.close()
            self.node.retire(clean=self.visits.settled)
            await self._operator("log.stopped", {"node": self.node.id})

    async def _operator(self, kind: str, data: dict[str, Any]) -> None:
        async with self.parts.store.operator_log() as scope:
            await self.parts.audit.append(scope.connection, Event(kind, OPERATOR_LOG, "frameroom", data=data))

    async def _sequence_loop(self) -> None:
        while True:
            # A database that is away for a moment holds the log up; visits end on their own watch meanwhile.
            with suppress(FrameroomError):
                await self.parts.sequence()
            await asyncio.sleep(_SEQUENCE_S)

    async def _minute_loop(self) -> None:
        seconds = 0
        while True:
            with suppress(FrameroomError):
                await self.parts.permission.expire()
                if seconds % 60 == 0:
                    await self.parts.engineers.flush_refused()
                    await self._operator(
                        "heartbeat",
                        {"sessions": len(self.visits.all()), "behind_ms": self.parts.audit.clock.behind_ms()},
                    )
            seconds += 1
            await asyncio.sleep(1)

    def _ops(self, left: int) -> Starlette:
        registry = CollectorRegistry()
        sessions = Gauge("frameroom_sessions", "Visits that are open", registry=registry)
        waiting = Gauge("frameroom_connections", "Signed-in SSH connections", registry=registry)
        Gauge("frameroom_leftovers", "Visits closed at start after a crash", registry=registry).set(left)

        async def health(_: Request) -> Response:
            return PlainTextResponse("ok\n")

        async def ready(_: Request) -> Response:
            try:
                async with self.parts.store.look_at_everyone() as scope:
                    await scope.execute(select(1))
            except FrameroomError as error:
                return PlainTextResponse(f"{error.message}\n", 503)
            broken = self.recorder.broken
            return PlainTextResponse("ok\n" if broken is None else f"recorder: {broken}\n", 503 if broken else 200)

        async def metrics(_: Request) -> Response:
            sessions.set(len(self.visits.all()))
            waiting.set(len(self.door.connections))
            return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

        return Starlette(routes=[Route("/healthz", health), Route("/readyz", ready), Route("/metrics", metrics)])


class _Quiet(uvicorn.Server):
    """uvicorn inside our own loop: signals are ours."""

    @property
    def bound(self) -> int:
        """The port it got."""
        return int(self.servers[0].sockets[0].getsockname()[1])


def _server(app: Starlette, host: str, port: int) -> _Quiet:
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    return _Quiet(config)


async def _start(group: asyncio.TaskGroup, server: _Quiet) -> int:
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    group.create_task(_keep_serving(server))
    return server.bound


async def _keep_serving(server: _Quiet) -> None:
    try:
        await server.main_loop()
    finally:
        await server.shutdown()


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema (the owner's connection)."""
    schema.upgrade(database_url(settings))

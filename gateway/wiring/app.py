"""One running Frameroom: its parts, put together from the settings, started and stopped in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import asyncssh
import structlog
from sqlalchemy import select

from audit.events import OPERATOR_LOG, Event
from audit.recording.recorder import Limits, Recorder, recover
from audit.storage import StorageError
from audit.tables import logs
from gateway.access.addresses import Addresses
from gateway.access.agreeing import Agreeing
from gateway.access.approving import Approving
from gateway.access.console import ConsoleLists
from gateway.access.handing import Handing
from gateway.access.jobs import Jobs
from gateway.access.month_letters import MonthLetters
from gateway.access.outside import OutsideVisits
from gateway.access.readers import Readers
from gateway.access.switch import Switch
from gateway.errors import FrameroomError
from gateway.identity.sign_ins import SignIns
from gateway.model import HOUR
from gateway.notify import Carrier, Chaser, Courier, Postman, Waits
from gateway.portal.access import AccessPages
from gateway.portal.addresses import AddressPages
from gateway.portal.agreement import AgreementPages
from gateway.portal.console import ConsolePages
from gateway.portal.contacts import ContactPages
from gateway.portal.entrance import Entrance
from gateway.portal.guesses import Guesses
from gateway.portal.handing import HandOvers
from gateway.portal.jobs import JobPages
from gateway.portal.log import LogPages
from gateway.portal.months import MonthPages
from gateway.portal.notices import NoticesPages
from gateway.portal.once import OneTimePages
from gateway.portal.outside import OutsidePages
from gateway.portal.own_ways import OwnWays
from gateway.portal.people import People
from gateway.portal.playing import TerminalPages
from gateway.portal.reading import ReadingPages
from gateway.portal.requests import Requests
from gateway.portal.site import Portal
from gateway.portal.visits import LiveVisits, VisitPages
from gateway.session.commands import Commands
from gateway.session.deliver import ResetServer
from gateway.session.resets import Resets
from gateway.session.session import Visits
from gateway.session.shell import Shell
from gateway.session.ssh_server import Door, DoorSettings
from gateway.smtp import MailSettings
from gateway.wiring.duties import (
    erasing_of,
    passkeys_of,
    readings_of,
    recovering_of,
    retention_of,
    ways_to_read,
)
from gateway.wiring.keeping import settle_restored, tell_handover
from gateway.wiring.login_watch import LoginWatch
from gateway.wiring.machine import check_clock
from gateway.wiring.node import Node
from gateway.wiring.ops import Ops, Watched
from gateway.wiring.parts import Parts
from gateway.wiring.signing import private
from gateway.wiring.streams import Stream, contexts
from gateway.wiring.web import start, web

log = structlog.get_logger()

_BATCH_S = 0.4
"""What is appended meanwhile shares one checkpoint, its signature and its way to the disk."""
_AGAIN_S, _IDLE_S = 0.1, 0.5


class App:
    """A serving Frameroom."""

    def __init__(self, opened: Parts, resets: ResetServer) -> None:
        self.parts = opened
        settings = opened.settings
        recording = settings.recording
        limits = Limits(
            batch_ms=recording.batch_ms, max_lag_ms=recording.max_lag_ms,
            session_quota_bytes=recording.session_quota_mb << 20, refuse_free_percent=recording.refuse_free_percent,
            warn_free_percent=recording.warn_free_percent,
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
        opened.permission.pages = self.portal_url
        self.resets = Resets(self.visits, resets, self.mail, self.portal_url)
        self.outside = OutsideVisits(opened.store, opened.audit, opened.permission)
        self.commands = Commands(self.visits, self.resets, opened.directory)
        host_keys = [
            asyncssh.read_private_key(str(private(data / "keys" / name)))
            for name in ("ssh_host_ed25519", "ssh_host_ecdsa")
        ]
        ssh = settings.ssh
        self.door = Door(
            DoorSettings(
                ssh.host, ssh.port, ssh.login_grace_s, ssh.factor_grace_s, ssh.max_connection_hours * 3600,
                max_channels=ssh.max_channels, proxy_from=ssh.proxy_from, user_ca_keys=ssh.user_ca_keys,
            ),
            host_keys, opened.engineers, Shell(self.commands, self.visits),
        )  # fmt: skip
        self.logins = LoginWatch(opened)
        tls = contexts(settings)
        self.streams = [Stream(opened, to, tls[to.name]) for to in settings.streams.receivers]
        self._deleted_ms = 0
        self.ready = asyncio.Event()
        self.drain, self.drained = asyncio.Event(), asyncio.Event()
        self._appended = asyncio.Event()
        opened.audit.on_appended = self._appended.set

    def portal_url(self) -> str:
        """What links in mails begin with."""
        return self.parts.settings.portal.url or f"http://localhost:{self.portal_port}"

    def public_url(self) -> str:
        """The address that mails name; "" where customers have none to open. A free port is a trial's on this machine,
        and its mails are read here too."""
        portal = self.parts.settings.portal
        return portal.url or (self.portal_url() if portal.port == 0 else "")

    def tellers(self) -> tuple[Postman | Courier | Chaser, ...]:
        """The loops that tell and ask people."""
        opened, telling = self.parts, self.parts.settings.telling
        waits = Waits(telling.remind_minutes, telling.next_minutes, telling.deputy_minutes)
        return (
            Postman(opened.store, opened.audit, self.mail, opened.published, self.public_url),
            Courier(opened.store, opened.audit, opened.vault, Carrier(opened.ways), self.public_url),
            Chaser(opened.store, opened.audit, waits, opened.permission.link),
        )

    def pages(self) -> Portal:
        """What customers see."""
        opened, settings = self.parts, self.parts.settings
        store, audit, ring = opened.store, opened.audit, settings.deployment.ring
        passkeys = passkeys_of(opened)
        sign_ins = SignIns(store, audit, opened.vault, passkeys, settings.portal.sign_in_hours)
        logs = LogPages(Readers(store, audit), opened.objects, Guesses(audit.clock.now), opened.signing.handovers)
        once = OneTimePages(store, audit, ring, self.portal_url)
        permission, directory = opened.permission, opened.directory
        approving = Approving(store, audit, permission, passkeys)
        agreeing = Agreeing(store, audit, directory, permission, passkeys)
        addresses = Addresses(store, audit, permission, passkeys, readings_of(opened))
        texts = settings.telling.text_url is not None
        live = LiveVisits(self.visits.find, self.visits.look_now)
        providers, accounts, codes = ways_to_read(opened, sign_ins)
        pages = [
            *Entrance(store, audit, passkeys, sign_ins, ring).pages(),
            *ReadingPages(providers, accounts, codes, Guesses(audit.clock.now), ring).pages(),
            *OwnWays(store, providers, codes).pages(),
            *People(store, directory, passkeys, recovering_of(opened), opened.asking).pages(),
            *Requests(store, permission, approving, passkeys, ring).pages(),
            *JobPages(store, Jobs(store, audit, permission, passkeys), passkeys).pages(),
            *AccessPages(store, Switch(store, audit), directory).pages(),
            *AgreementPages(store, agreeing, passkeys, ring).pages(),
            *ConsolePages(store, ConsoleLists(store, audit, passkeys), passkeys, ring).pages(),
            *HandOvers(store, Handing(store, audit, passkeys), passkeys, ring).pages(),
            *AddressPages(store, addresses, passkeys, ring).pages(),
            *NoticesPages(store, opened.asking, opened.channels, directory.contacts, texts).pages(),
            *ContactPages(store, directory.contacts).pages(),
            *VisitPages(store, audit, opened.permission, live, ring).pages(),
            *OutsidePages(store, audit, opened.permission, self.outside, ring).pages(),
            *TerminalPages(store, audit, opened.objects, live, sign_ins.who).pages(),
            *MonthPages(store, audit, opened.published, ring).pages(),
        ]
        return Portal(pages, sign_ins, self.portal_url, once.app(logs.routes()))

    async def run(self) -> None:
        """Serve until cancelled. UnavailableError when the clock is too far behind the log, or an address
        cannot be had."""
        opened = self.parts
        check_clock(opened.audit.clock.behind_ms(), opened.settings.process.clock_behind_limit_s)
        ended = await settle_restored(opened)
        if ended is not None:
            log.warning("restored from a backup: permissions and links that stood in it were ended", permissions=ended)
        await tell_handover(opened)
        left = await self.visits.close_leftovers(self._recovered)
        self.node.bury()
        await self._operator("log.started", {"node": self.node.id, "behind_ms": opened.audit.clock.behind_ms()})
        portal = web(self.pages().app(), opened.settings.portal.host, opened.settings.portal.port)
        watch = Ops(Watched(opened, self.visits, self.door, self.recorder, left, self.streams))
        await watch.begin()
        ops = web(watch.app(), opened.settings.ops.host, opened.settings.ops.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.recorder.run())
                group.create_task(self.visits.run())
                group.create_task(self._sequence_loop())
                group.create_task(self._minute_loop())
                for loop in self.tellers():
                    group.create_task(loop.run())
                group.create_task(watch.run())
                group.create_task(self.logins.run())
                for stream in self.streams:
                    group.create_task(stream.run())
                self.portal_port = await start(group, portal)
                self.ops_port = await start(group, ops)
                group.create_task(self.door.run())
                await self.door.ready.wait()
                group.create_task(self._drain())
                self.ready.set()
        finally:
            self.recorder.close()
            self.node.retire(clean=self.visits.settled)
            await self._operator("log.stopped", {"node": self.node.id})

    async def _operator(self, kind: str, data: dict[str, Any]) -> None:
        async with self.parts.store.operator_log() as scope:
            await self.parts.audit.append(scope.connection, Event(kind, OPERATOR_LOG, "frameroom", data=data))

    async def _drain(self) -> None:
        """Once it is asked for: let visits finish, for so long and no longer; then `drained` is set."""
        await self.drain.wait()
        minutes = self.parts.settings.process.drain_limit_minutes
        log.info("draining", visits=len(self.visits.all()), limit_minutes=minutes)
        for owner in self.door.connections.values():
            for channel in tuple(owner.channels):
                channel.notify_line("Frameroom will restart when you have finished. No new visits are taken meanwhile.")
        try:
            async with asyncio.timeout(minutes * 60):
                await self.door.drain()
        except TimeoutError:
            log.warning("visits that were left when the time to finish was over are ended", n=len(self.visits.all()))
        self.drained.set()

    async def _sequence_loop(self) -> None:
        """Entries get their place within 1 s: at once when this process wrote them, by looking when another did.

        The call that wakes comes before the writer's commit, so a wakening is followed by looks in quick succession.
        """
        pause = _IDLE_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._appended.wait()
            woken = self._appended.is_set()
            self._appended.clear()
            await asyncio.sleep(_BATCH_S)
            # A database that is away for a moment holds the log up; visits end on their own watch meanwhile.
            # So does an object store that does not answer: entries stay signed, and are published when it does.
            pause = _IDLE_S
            with suppress(FrameroomError):
                try:
                    found = await self.parts.sequence()
                    pause = _AGAIN_S if woken or found else _IDLE_S
                except StorageError as error:
                    log.error("checkpoints cannot be published", why=str(error), logs=len(self.parts.unpublished))

    async def _minute_loop(self) -> None:
        seconds = 0
        while True:
            with suppress(FrameroomError):
                await self.parts.permission.expire()
                await self.outside.settle()
                await self.resets.tidy()
                if seconds % 60 == 0:
                    await self._each_minute()
            seconds += 1
            await asyncio.sleep(1)

    async def _each_minute(self) -> None:
        await self.parts.engineers.flush_refused()
        await erasing_of(self.parts).settle()
        await recovering_of(self.parts).settle()
        await readings_of(self.parts).tidy()
        now = self.parts.audit.clock.now()
        if now - self._deleted_ms >= HOUR:
            self._deleted_ms = now
            await retention_of(self.parts).run("frameroom")
            await self.logins.reconciler.forget()
        await MonthLetters(self.parts.store, self.parts.audit).send_due()
        behind = self.parts.audit.clock.behind_ms()
        if behind:
            log.warning("the machine's clock is behind the log", ms=behind)
        await self._heartbeats(now, behind)

    async def _heartbeats(self, now: int, behind: int) -> None:
        """In the operator's log and wherever a visit is open each minute; and in every log that was silent for an hour,
        so that a customer sees by theirs that logging goes on."""
        visits = self.visits.all()
        async with self.parts.store.look_at_everyone() as scope:
            silent = select(logs.c.log_id).where(logs.c.last_time_ms <= now - HOUR)
            wanted = dict.fromkeys((await scope.execute(silent)).scalars(), 0)
        wanted |= Counter(visit.system.customer_id for visit in visits) | {OPERATOR_LOG: len(visits)}
        data = {log_id: {"sessions": count, "behind_ms": behind} for log_id, count in wanted.items()}
        events = [Event("heartbeat", log_id, "frameroom", data=told) for log_id, told in sorted(data.items())]
        async with self.parts.store.everyone() as scope:
            await self.parts.audit.append_many(scope.connection, events)

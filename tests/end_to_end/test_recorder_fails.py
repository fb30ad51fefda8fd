"""Invariant 1 by a real ssh client: however the recorder fails, the visit ends with words, and none opens after."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from audit import keystore
from audit.recording.disk import Space
from audit.sealing import KeyStoreAway
from audit.storage import StorageError
from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master
from gateway.cli.terminal import shell
from gateway.session.visit import Visit
from gateway.smtp import Way

Break = Callable[[Demo, threading.Event], None]


def _no_space(demo: Demo, _: threading.Event) -> None:
    def sync(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    demo.app.recorder.sync = sync


def _broken_disk(demo: Demo, _: threading.Event) -> None:
    def sync(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    demo.app.recorder.sync = sync


def _hung_disk(demo: Demo, release: threading.Event) -> None:
    def sync(fd: int) -> None:
        release.wait(60)

    demo.app.recorder.sync = sync


def _refuse(demo: Demo, prefix: str) -> None:
    """The object store takes nothing of this kind any more."""
    objects = demo.app.recorder.objects
    usual = objects.put_new

    def put_new(name: str, data: bytes) -> bool:
        if name.startswith(prefix):
            raise StorageError(f"could not store {name}: refused")
        return usual(name, data)

    objects.put_new = put_new  # type: ignore[method-assign]


def _no_store(demo: Demo, _: threading.Event) -> None:
    _refuse(demo, "recordings/")
    demo.app.recorder.limits = replace(demo.app.recorder.limits, segment_bytes=1)


def _over_quota(demo: Demo, _: threading.Event) -> None:
    demo.app.recorder.limits = replace(demo.app.recorder.limits, session_quota_bytes=1)


def _over_customers_quota(demo: Demo, _: threading.Event) -> None:
    demo.app.recorder.limits = replace(demo.app.recorder.limits, customer_quota_bytes=1)


def _reserve_reached(demo: Demo, _: threading.Event) -> None:
    demo.app.recorder.space = lambda folder: Space(100 << 30, 1 << 20)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end, so that a disk that hung answers after all and everything can stop."""
    event = threading.Event()
    yield event
    event.set()


async def opened(demo: Demo, ssh: Master) -> Visit:
    """A visit in which one person was seen."""
    await permit(demo, "find,view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    return visit


_FAULTS = pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_no_space, "No space left on device"),
        (_broken_disk, "Input/output error"),
        (_hung_disk, "could not be made durable in time"),
        (_no_store, "could not store"),
        (_over_quota, "over the quota"),
        (_over_customers_quota, "over their quota"),
        (_reserve_reached, "full but for its reserve"),
    ],
)


@_FAULTS
async def test_1_a_recorder_that_fails_ends_the_visit(
    demo: Demo, ssh: Master, release: threading.Event, fault: Break, words: str
) -> None:
    visit = await opened(demo, ssh)
    fault(demo, release)
    shown = await ssh.run("find smith")  # shown or not, by the moment at which it was noticed
    assert shown.code in {0, 1, 3}
    await visit.over.wait()
    async with demo.app.parts.store.look(visit.system.customer_id) as scope:
        rows = await demo.app.parts.audit.read(scope.connection, visit.system.customer_id, session=visit.id)
    ends = [row.body for row in rows if row.body["kind"] in {"session.failed", "session.closed"}]
    assert [end["kind"] for end in ends] == ["session.failed"]
    assert words in ends[0]["data"]["reason"]
    release.set()
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


@_FAULTS
async def test_1_whoever_is_at_a_prompt_is_told_why_and_is_out(
    demo: Demo, ssh: Master, release: threading.Event, fault: Break, words: str
) -> None:
    await permit(demo, "find,view")
    async with shell(demo, columns=200) as engineer:
        engineer.type("show 2001")
        await engineer.wait_for("Grace Okonkwo")
        fault(demo, release)
        engineer.type("find smith")
        assert await engineer.process.wait() != 0
        await engineer.wait_for("The visit has ended")
        assert words in engineer.shown.decode()


@pytest.mark.parametrize("fault", [_no_space, _broken_disk])
async def test_1_nothing_opens_on_a_recorder_that_has_failed(
    demo: Demo, ssh: Master, release: threading.Event, fault: Break
) -> None:
    visit = await opened(demo, ssh)
    fault(demo, release)
    await ssh.run("show 2002")
    await visit.over.wait()
    refused = await ssh.run("show 2003")
    assert refused.code == 1
    assert "No recording, no session" in refused.err
    assert refused.out == ""
    assert len(await demo.admin("session list")) == 1


async def test_1_a_key_that_cannot_be_kept_opens_nothing(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The volume with the keys goes away in the middle of a mail: nothing opens, and nothing else ends."""
    sending, go_on, met = asyncio.Event(), asyncio.Event(), asyncio.Event()
    usual, away, loop = Way.send, keystore._away, asyncio.get_running_loop()

    async def held(way: Way, *given: Any) -> None:
        sending.set()
        await go_on.wait()
        await usual(way, *given)

    def noticed(error: OSError) -> KeyStoreAway:
        if go_on.is_set():
            loop.call_soon_threadsafe(met.set)
        return away(error)

    monkeypatch.setattr(Way, "send", held)
    monkeypatch.setattr(keystore, "_away", noticed)
    await permit(demo, "view")
    await sending.wait()
    demo.app.recorder.keys._cache.clear()  # nothing is used from memory
    folder = demo.folder / "data" / "keyring"
    aside = folder.rename(folder.with_name("unmounted"))
    folder.write_text("", encoding="ascii")
    refused = await ssh.run("show 2001")
    go_on.set()
    await met.wait()
    folder.unlink()
    aside.rename(folder)
    assert (refused.code, refused.out) == (1, "")
    assert "No recording, no session" in refused.err
    assert await demo.admin("session list") == []
    assert (await ssh.run("show 2001")).code == 0


@pytest.mark.parametrize(("free", "code"), [(4, 1), (6, 0), (21, 0)])
async def test_1_below_five_per_cent_no_ordinary_session_opens(demo: Demo, ssh: Master, free: int, code: int) -> None:
    await permit(demo, "view")
    demo.app.recorder.space = lambda folder: Space(100 << 30, free << 30)
    ran = await ssh.run("show 2001")
    assert ran.code == code, ran.err
    assert ("nearly full" in ran.err) == (code == 1)
    assert demo.app.recorder.nearly_full() == (free < 20)


async def test_a_store_that_takes_nothing_is_said_and_holds_up_no_stop(demo: Demo) -> None:
    _refuse(demo, "")
    await demo.admin("customer add", name="Northern Mills")
    with pytest.raises(RuntimeError, match="could not store"):
        await demo.admin("audit verify")

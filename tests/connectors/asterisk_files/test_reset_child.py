"""A reset as Frameroom does it: in its child process, whose secret reaches the files as a digest and nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from connectors.errors import NotFound
from gateway.session.deliver import ResetServer
from tests.support.flat_pbx import CANARIES, USER, Door, FlatPbx

from .test_operations import accepts


@pytest.fixture
async def server() -> AsyncIterator[ResetServer]:
    running = ResetServer()
    yield running
    running.stop()


def job(front: Door, person: str, kind: str) -> dict[str, object]:
    return {
        "connector": "asterisk-files", "system": "sys_1", "host": "127.0.0.1", "port": front.port, "pin": front.pin,
        "settings": json.dumps({"login": USER}), "mark": "", "person": person, "kind": kind,
        "link": "lnk_" + "a" * 24, "retry_s": 5, "message_id": "msg_1",
        "shape": {"alphabet": "0123456789", "length": 12 if kind == "sip" else 6, "classes": [], "avoid": []},
        "credential": {"login": USER, "password": None, "private_key": front.key},
        "mail": {}, "url": "", "path": "", "to": "", "subject": "", "body": ["", ""],
    }  # fmt: skip


async def test_the_child_writes_it_and_what_was_before_is_over(pbx: FlatPbx, front: Door, server: ResetServer) -> None:
    for kind in ("sip", "voicemail"):
        child = server.child()
        await child.start(job(front, "1020", kind))
        notes = await child.write()
        child.close()
        assert notes == (("all 2 devices of this person take the new password",) if kind == "sip" else ())
    for device in ("1020", "1020-mobile"):
        assert not accepts(pbx, device, CANARIES[f"sip:{device}"])
        assert CANARIES[f"sip:{device}"] not in pbx.all_text()
    assert CANARIES["vm:1020"] not in pbx.text("voicemail.conf")
    assert ",Bob Fletcher,bob.fletcher@example.test\n" in pbx.text("voicemail.conf")


async def test_the_connectors_own_error_comes_out_of_the_child(pbx: FlatPbx, front: Door, server: ResetServer) -> None:
    child = server.child()
    await child.start(job(front, "nobody", "sip"))
    with pytest.raises(NotFound):
        await child.write()
    child.close()

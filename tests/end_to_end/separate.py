"""A whole story with resets, then the sweep, as a process of its own.

What is swept: terminal, recording decrypted, events opened, mail, every file, and the database as text.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
from pathlib import Path

import pyotp

from audit.recording.player import Player
from connectors.lab import sip
from gateway.cli.demo import permit, started
from gateway.cli.story import Master
from tests.end_to_end.test_visit import forms


def shape_of(form: bytes) -> re.Pattern[bytes]:
    """What to look for. Six digits stand by chance in every long digest or time: a PIN counts where it stands alone."""
    edge = rb"[0-9A-Za-z]" if form.isdigit() and len(form) < 10 else b""
    return re.compile(b"(?<!%b)%b(?!%b)" % (edge, re.escape(form), edge) if edge else re.escape(form))


async def main(folder: Path, state_file: Path) -> None:
    folder.mkdir()
    async with started(folder) as demo:
        await permit(demo, "find,view,reset-voicemail,reset-sip,diag")
        master = Master(demo)
        await master.start(pyotp.TOTP(demo.totp).now())
        old = set(demo.lab.store.canaries())
        old_sip = demo.lab.store.sip_secret("2001") or ""
        said = []
        for command in (
            "find grace",
            "show 2001",
            "reset 2001 voicemail --yes",
            "reset 2001 sip --phones-will-drop --yes",
            "diag pjsip show endpoints",
            "diag pjsip show auth 2001",
        ):
            ran = await master.run(command)
            said.append(ran.out + ran.err)
        generated = sorted(set(demo.lab.store.canaries()) - old)
        new_sip = demo.lab.store.sip_secret("2001") or ""
        registered = [
            await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, "2001", secret, 0)
            for secret in (old_sip, new_sip)
        ]
        await demo.mails.wait_for("This link shows it once", count=2)
        (session,) = [v.id for v in demo.app.visits.all()]
        (customer,) = [v.system.customer_id for v in demo.app.visits.all()]
        (visit,) = demo.app.visits.all()
        await master.stop()
        await visit.over.wait()
        await demo.mails.wait_for("What was done")
        await demo.app.parts.sequence()
        looked: dict[str, bytes] = {"terminal": "".join(said).encode()}
        player = Player(demo.app.parts.objects, demo.app.parts.keys, customer, session)
        looked["recording"] = b"".join(frame.data for frame in player.frames())
        for log in (customer, "_operator"):
            async with demo.app.parts.store.scope(log) as scope:
                for row in await demo.app.parts.audit.read(scope.connection, log):
                    told = await demo.app.parts.audit.personal(scope.connection, row)
                    looked[f"event {log} {row.seq}"] = row.entry + json.dumps(told, ensure_ascii=False).encode()
        looked["mail"] = "".join(m["text"] for m in demo.mails.caught).encode()
        for path in (folder / "data").rglob("*"):
            if path.is_file():
                looked[str(path.relative_to(folder))] = path.read_bytes()
        database = sqlite3.connect(folder / "data" / "frameroom.db")
        looked["database as text"] = "\n".join(database.iterdump()).encode()
        database.close()
    wanted = {secret: [shape_of(form) for form in forms(secret)] for secret in (*old, *generated)}
    leaks = [
        f"{place}: {secret[:6]}…"
        for place, data in looked.items()
        for secret, shapes in wanted.items()
        if any(shape.search(data) for shape in shapes)
    ]
    told = {"resets": len(generated), "generated": generated, "registered": registered, "leaks": leaks}
    state_file.write_text(json.dumps(told))


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))

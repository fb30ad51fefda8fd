"""One visit's trouble ends one visit."""

from __future__ import annotations

from sqlalchemy import text

from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master


async def test_a_visit_that_cannot_be_closed_in_the_log_leaves_the_door_open(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    async with demo.app.parts.store.everyone() as scope:
        # The closing event cannot be written: as after a table was damaged or the disk ran full.
        await scope.execute(
            text("create trigger full before insert on entries when new.kind = 'session.closed' "
                 "begin select raise(abort, 'database or disk is full'); end")
        )  # fmt: skip
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await visit.over.wait()
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(text("drop trigger full"))
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    report = await demo.admin("audit verify")
    # The visit stays open in the books until a restart closes it as failed; nothing else is wrong.
    assert report["ok"], report["faults"]

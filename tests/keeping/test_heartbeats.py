"""That logging goes on can be seen in each customer's own log: silence there means something."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from audit.tables import logs
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.model import HOUR
from tests.end_to_end.conftest import demo as demo
from tests.end_to_end.conftest import ssh as ssh
from tests.session.shell.conftest import BOTH
from tests.session.shell.conftest import database_of_demo as database_of_demo


async def minute(demo: Demo) -> list[dict[str, Any]]:
    """What a minute adds to the customer's heartbeats: all of them, oldest first."""
    await demo.app._each_minute()
    await demo.app.parts.sequence()
    asked = {"customer": CUSTOMER, "kinds": ["heartbeat"], "why": "t"}
    return list(await demo.admin("audit search", **asked))


@BOTH
async def test_a_customers_log_beats_each_minute_of_a_visit_and_each_hour_otherwise(demo: Demo, ssh: Master) -> None:
    assert await minute(demo) == []
    grant = await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    for count in (1, 2):
        beats = await minute(demo)
        assert [("sessions=1" in row["told"], row["actor"]) for row in beats] == [(True, "frameroom")] * count
    (visit,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="t")
    await visit.over.wait()
    assert len(await minute(demo)) == 2
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(update(logs).values(last_time_ms=logs.c.last_time_ms - HOUR))
    beats = await minute(demo)
    assert len(beats) == 3
    assert "sessions=0" in beats[-1]["told"]
    assert len(await minute(demo)) == 3
    assert (await demo.admin("audit verify"))["ok"]

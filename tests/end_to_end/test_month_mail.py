"""The page a month through the real outbox and SMTP: with the checkpoint, as after a visit."""

from __future__ import annotations

from sqlalchemy import update

from gateway.access.month_letters import MonthLetters
from gateway.cli.demo import Demo
from gateway.model import DAY
from gateway.store.tables import customers


async def test_the_page_of_a_month_comes_by_mail_with_the_newest_checkpoint(demo: Demo) -> None:
    parts = demo.app.parts
    async with parts.store.everyone() as scope:
        await scope.execute(update(customers).values(added_ms=parts.audit.clock.now() - 40 * DAY))
    assert await MonthLetters(parts.store, parts.audit).send_due() >= 1
    mail = await demo.mails.wait_for("You get this page every month")
    assert "nobody came in" in mail
    assert "this is its signed checkpoint" in mail
    assert "demo.frameroom.example/cus_" in mail

"""What an engineer sees is told to the customer, by whatever way it was seen."""

from __future__ import annotations

from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master


async def test_people_whom_ambiguous_words_list_count_as_seen(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    listed = await ssh.run("show a")
    assert (listed.code, len(listed.err.splitlines())) == (2, 22), "twenty people, without leave to find or list"
    await ssh.run("show smith")
    rows = await demo.admin("audit tail", customer="Brook & Sons", count=50, why="test")
    told = [row["told"] for row in rows if row["kind"] == "operation.refused"]
    assert [("count=20" in one, "count=2;" in one) for one in told] == [(True, False), (False, True)]
    await ssh.stop()
    letter = await demo.mails.wait_for("What was looked at")
    assert "20 people were seen" in letter

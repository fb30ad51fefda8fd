"""A recording that was deleted when its period was over: its visit's report says so and holds, and holds none of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.reportfile import MARK
from audit.verify import main
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master

ENDED_MS = 1_580_472_000_000
"""2020-01-31 12:00 UTC."""


async def reported(demo: Demo, session: str, *, recording: bool) -> str:
    pieces = await demo.admin("audit report", why="for them", session=session, held=[], recording=recording)
    return "".join(piece["text"] for piece in pieces)


async def test_a_report_of_a_visit_whose_recording_was_deleted_says_so_and_holds(
    demo: Demo, ssh: Master, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, key = tmp_path / "report.txt", demo.app.parts.signer.vkey

    def check(text: str) -> tuple[int, str]:
        file.write_text(text, encoding="utf-8")
        code = main([str(file), "--vkey", key])
        said = capsys.readouterr()
        return code, said.out + said.err

    await permit(demo, "find,view,alter")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = await demo.admin("session list")
    await demo.admin("session kill", session=visit["id"], reason="a test")
    before = await reported(demo, visit["id"], recording=True)
    code, said = check(before)
    assert (code, "is what was recorded, and opens" in said) == (0, True), said

    await demo.admin("retention set", customer=CUSTOMER, kind="recordings", months=6)
    await demo.admin("retention contract", customer=CUSTOMER, ends_ms=ENDED_MS)
    (went,) = await demo.admin("retention run", customer=CUSTOMER)
    assert went["state"] == "deleted"
    (entered,) = await demo.admin("retention ledger", customer=CUSTOMER)
    looks = len(await demo.admin("audit search", customer=CUSTOMER, kinds=["looked.recording"], why="a test"))

    with pytest.raises(RuntimeError) as refused:
        await reported(demo, visit["id"], recording=True)
    day = entered["at"].partition("T")[0]
    assert f"the recording of {visit['id']} was deleted on {day}" in str(refused.value)
    assert "the contract ended 2020-01-31; 6 months after it are over" in str(refused.value)
    after = len(await demo.admin("audit search", customer=CUSTOMER, kinds=["looked.recording"], why="a test"))
    assert after == looks, "nobody looked at what is not there"

    text = await reported(demo, visit["id"], recording=False)
    assert (
        f"6 months after it are over): recordings, 1; of visits in this report: {visit['id']}"
        in text.partition(MARK)[0]
    )
    code, said = check(text)
    assert (code, f"the recording of {visit['id']} was deleted because its period was over" in said) == (0, True), said
    # The copy that they got in time holds as it did.
    assert check(before)[0] == 0

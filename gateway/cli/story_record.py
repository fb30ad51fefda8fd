"""Story 3: a visit, its report checked by our verifier and another's, five tamperings found, a person erased."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyotp

from audit import checkpoint, reportfile
from audit.checkpoint import Checkpoint
from audit.publisher import fetcher
from audit.reportfile import Report
from audit.tiles import TileReader
from gateway.cli.story import PERSON, Master, StoryFailed, require, tell, told_to_its_end
from gateway.wiring.admin import Admin

if TYPE_CHECKING:
    from gateway.cli.demo import Demo

_ROOT = Path(__file__).parents[2]
_BASIS = "not-needed"


async def play(demo: Demo, grant: str) -> int:
    """0 when every step held, 1 with the one that did not. `grant` is the engineer's permission."""
    master = Master(demo)
    return await told_to_its_end(master, _played(demo, master, grant))


async def _played(demo: Demo, master: Master, grant: str) -> None:
    await master.start(pyotp.TOTP(demo.totp).now())
    session = await _visit(demo, master, grant)
    report = await _reported(demo, session)
    await _outsider(demo)
    await _tampered(demo, report)
    await _erased(demo, session)


async def _visit(demo: Demo, master: Master, grant: str) -> str:
    changed = await master.run(f'set {PERSON} name="Grace Bell"')
    require(changed.code == 0 and "Grace Bell" in changed.out, f"set failed: {changed.err}")
    live = next(iter(demo.app.visits.all()))
    await demo.admin("grant revoke", grant=grant, reason="that was all")
    await live.over.wait()
    mail = await demo.mails.wait_for("Keep this mail")
    (demo.folder / "mail.txt").write_text(mail, encoding="utf-8")
    (note,) = checkpoint.notes_in(mail)
    tell("a visit, and the mail after it", f"it ends with the log's checkpoint: {checkpoint.parse(note).size} entries")
    session = (await demo.admin("session list"))[0]
    return str(session["id"])


async def _verifier(demo: Demo, name: str, *more: str) -> tuple[int, str, str]:
    """`python -m audit.verify` in a process of its own: exit code, what it said, the command."""
    words = ["-m", "audit.verify", str(demo.folder / name), "--vkey", demo.app.parts.signer.vkey, *more]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode() + err.decode(), shlex.join(["python", *words[:3], "…", *more])


async def _made(demo: Demo, session: str) -> Report:
    """The report of the visit, and the file of it."""
    mail = (demo.folder / "mail.txt").read_text(encoding="utf-8")
    pieces = await demo.admin("audit report", why="the demo", session=session, held=[mail], recording=False)
    text = "".join(piece["text"] for piece in pieces)
    (demo.folder / "report.txt").write_text(text, encoding="utf-8")
    return reportfile.parse(text)[0]


async def _reported(demo: Demo, session: str) -> Report:
    report = await _made(demo, session)
    code, said, command = await _verifier(demo, "report.txt", "--since", str(demo.folder / "mail.txt"))
    require(code == 0, f"the report does not verify: {said}")
    tell("the report of it holds", f"{command} → exit 0")
    for line in said.splitlines()[:-1]:
        click.echo(f"      {line}")
    return report


async def _outsider(demo: Demo) -> None:
    """PyPI pymerkle, which nobody here wrote, makes the tree again from the published entries."""
    try:
        from pymerkle import InmemoryTree
    except ImportError as error:
        raise StoryFailed("pymerkle is not installed: `make demo STORY=3` sets it up") from error
    (customer,) = [row["id"] for row in await demo.admin("customer list")]
    note = (demo.app.parts.published(customer) or b"").decode()
    root = checkpoint.parse(note)
    reader = TileReader(root.size, fetcher(demo.app.parts.objects, customer))
    outside: Any = InmemoryTree  # it has no types
    tree = outside(algorithm="sha256")
    for index in range(root.size):
        tree.append_entry(reader.entry(index))
    require(tree.get_root() == root.root, "pymerkle comes to another root")
    tell("somebody else's verifier agrees", f"pymerkle: {root.size} entries, root {root.root.hex()[:16]}… as signed")


async def _tampered(demo: Demo, good: Report) -> None:
    """Five ways, each with the words that name it."""
    place = next(n for n, one in enumerate(good.entries) if one.body()["kind"] == "operation.done")
    one = good.entries[place]
    flipped = replace(one, entry=one.entry.replace(b"operation.done", b"operation.dono"))
    name, clear = next(iter(one.clear.items()))
    said = replace(one, clear=dict(one.clear) | {name: replace(clear, text='{"name":"Somebody else"}')})
    others = (*good.entries[:place], *good.entries[place + 1 :])
    fork = replace(checkpoint.parse(good.checkpoint), root=b"x" * 32)
    cases = (
        ("a byte flipped in an entry", _with(good, place, flipped).text(), 1),
        ("a name altered", _with(good, place, said).text(), 1),
        ("an entry left out", replace(good, entries=others).text(), 1),
        ("the words on top altered", good.text().replace("Grace Bell", "Grace Ball", 1), 1),
        ("another history, signed with the real key", "", 3),
    )
    for what, text, wanted in cases:
        since = demo.folder / "mail.txt"
        (demo.folder / "tampered.txt").write_text(text or good.text(), encoding="utf-8")
        if not text:
            since = demo.folder / "fork.txt"
            held = Checkpoint(fork.origin, fork.size, fork.root)
            since.write_text(demo.app.parts.signer.sign(held), encoding="utf-8")
        code, told, _ = await _verifier(demo, "tampered.txt", "--since", str(since))
        require(code == wanted, f"{what} was not found: exit {code}, {told}")
        tell(f"found: {what}", f"exit {code}: {told.splitlines()[-1]}")


def _with(good: Report, place: int, entry: reportfile.Entry) -> Report:
    return replace(good, entries=(*good.entries[:place], entry, *good.entries[place + 1 :]))


async def _erased(demo: Demo, session: str) -> None:
    """By two people; the report of before holds, a new one says since when she is erased."""
    admin = Admin(demo.app.parts, demo.app)
    asked = await admin.call("erase", "bo", {"subject": PERSON, "basis": _BASIS, "system": "Head office"})
    done = await admin.call("erasure confirm", "cy", {"proposal": asked["proposal"]})
    tell("a person erased by two people", f"{done['state']}: proposed by bo, confirmed by cy")
    code, said, _ = await _verifier(demo, "report.txt", "--since", str(demo.folder / "mail.txt"))
    require(code == 0, f"the report of before does not verify any more: {said}")
    report = await _made(demo, session)
    gone = [why for one in report.entries for why in one.gone.values()]
    require(bool(gone) and "Grace Bell" not in report.text(), "the new report still shows her")
    code, said, _ = await _verifier(demo, "report.txt", "--since", str(demo.folder / "mail.txt"))
    require(code == 0, f"the new report does not verify: {said}")
    found = await demo.admin("audit verify")
    require(found["ok"], f"the log does not verify: {found['faults']}")
    tell("everything verified again", f"the old report, a new one that says {gone[0]}, {found['entries']} entries")

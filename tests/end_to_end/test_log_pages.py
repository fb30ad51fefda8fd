"""A customer reads their own log with a plain HTTP client and a token, and checks all of it; nobody else reads it."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from audit.checkpoint import parse
from audit.tiles import WIDTH, edge_names, tile_name
from audit.verify import main as verify
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master


def fetch(url: str, token: str = "", **more: Any) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, **more)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def get(url: str, token: str = "", **more: Any) -> tuple[int, bytes]:
    return await asyncio.to_thread(fetch, url, token, **more)


async def copied(base: str, token: str, folder: Path) -> str:
    """The whole log as tlog-tiles clients fetch it, by the tree's size; the checkpoint."""
    status, note = await get(f"{base}/checkpoint", token)
    assert status == 200
    size = parse(note.decode()).size
    names = [tile_name(level, n) for n in range(size // WIDTH) for level in (None, 0)]
    for name in [*names, *edge_names(size)]:
        status, data = await get(f"{base}/{name}", token)
        assert status == 200, name
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "checkpoint").write_bytes(note)
    return note.decode()


@pytest.fixture
async def base(demo: Demo) -> str:
    (customer,) = [row["id"] for row in await demo.admin("customer list") if row["name"] == CUSTOMER]
    await demo.app.parts.sequence()  # the first checkpoint may still be on its way
    return f"{demo.app.portal_url()}/log/{customer}"


async def test_a_customer_copies_their_whole_log_and_checks_it(
    demo: Demo, ssh: Master, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await demo.admin("audit reader add", customer=CUSTOMER, name="their auditor")
    assert made["log"] == f"{base}/checkpoint"
    old = await copied(base, made["token"], tmp_path / "before")
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    await demo.app.parts.sequence()
    new = await copied(base, made["token"], tmp_path / "after")
    assert parse(new).size > parse(old).size
    (tmp_path / "mail").write_text(old)
    vkey, origin = demo.app.parts.signer.vkey, parse(new).origin
    asked = ["--vkey", vkey, "--origin", origin, "--since", str(tmp_path / "mail")]
    assert verify([str(tmp_path / "after"), *asked]) == 0
    bundle = next((tmp_path / "after" / "tile" / "entries").rglob("000.p/*"))
    bundle.write_bytes(bundle.read_bytes().replace(b"request.granted", b"request.denied_"))
    assert verify([str(tmp_path / "after"), *asked]) == 1
    assert "hashes of its entries" in capsys.readouterr().err
    # Whoever still reads by the older checkpoint finds its partial tiles.
    (name,) = [name for name in edge_names(parse(old).size) if name.startswith("tile/0/")]
    assert (await get(f"{base}/{name}", made["token"])) == (200, (tmp_path / "before" / name).read_bytes())


async def test_nobody_reads_without_a_token_of_that_customer(demo: Demo, base: str) -> None:
    made = await demo.admin("audit reader add", customer=CUSTOMER, name="a")
    await demo.admin("customer add", name="Neighbour", region="uk")
    other = await demo.admin("audit reader add", customer="Neighbour", name="b")
    await demo.app.parts.sequence()
    assert (await get(f"{base}/checkpoint"))[0] == 401
    assert (await get(f"{base}/checkpoint", "frl_" + "x" * 43))[0] == 401
    assert (await get(f"{base}/checkpoint", made["token"] + "x"))[0] == 401
    assert (await get(f"{base}/checkpoint", other["token"]))[0] == 404
    assert (await get(f"{base}/tile/0/000.p/1", other["token"]))[0] == 404
    assert (await get(f"{base}/checkpoint", made["token"], method="POST"))[0] == 405
    for name in ("", "abandoned/1", "../x", "tile/0/000", "tile/0/../../checkpoint", "tile/9/000.p/1", "keys", "%00"):
        assert (await get(f"{base}/{name}", made["token"]))[0] == 404, name
    assert (await get(f"{base}/handovers", made["token"]))[0] == 200
    await demo.admin("audit reader remove", customer=CUSTOMER, reader=made["id"])
    assert (await get(f"{base}/checkpoint", made["token"]))[0] == 401
    listed = await demo.admin("audit reader list", customer=CUSTOMER)
    assert [(row["name"], bool(row["removed"])) for row in listed] == [("a", True)]


async def test_reading_stands_in_the_log_once_a_day_so_that_it_does_not_grow_by_being_read(
    demo: Demo, base: str
) -> None:
    made = await demo.admin("audit reader add", customer=CUSTOMER, name="a")
    for _ in range(3):
        assert (await get(f"{base}/checkpoint", made["token"]))[0] == 200
    kinds = {"reader.added", "looked.log"}
    rows = await demo.admin("audit search", why="t", customer=CUSTOMER, kinds=sorted(kinds))
    assert [row["kind"] for row in rows] == ["reader.added", "looked.log"]


async def test_guessing_is_slowed_down(demo: Demo, base: str) -> None:
    for _ in range(30):
        status, _ = await get(f"{base}/checkpoint", "frl_wrong")
    assert status == 429

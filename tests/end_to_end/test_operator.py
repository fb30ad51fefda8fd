"""The operator's command line, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, permit

ROOT = Path(__file__).parents[2]


def frameroom(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_init_makes_a_deployment_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "fr"
    made = frameroom("init", str(folder))
    assert made.returncode == 0, made.stderr
    key = (folder / "data" / "keys" / "master.key").read_bytes()
    again = frameroom("init", str(folder))
    assert again.returncode == 2
    assert "nothing was changed" in again.stderr
    assert (folder / "data" / "keys" / "master.key").read_bytes() == key
    config = ("-c", str(folder / "frameroom.toml"))
    assert frameroom(*config, "config", "check").returncode == 0
    assert json.loads(frameroom(*config, "--json", "db", "status").stdout)["has"] == "0001"
    assert frameroom(*config, "customer", "add", "Brook").returncode == 0
    twice = frameroom(*config, "customer", "add", "Brook")
    assert twice.returncode != 0
    assert "already" in twice.stderr
    assert "Traceback" not in twice.stderr
    assert json.loads(frameroom(*config, "--json", "audit", "verify").stdout)["ok"] is True
    bad_key = frameroom(*config, "engineer", "key", "add", "nobody", "ssh-rsa nonsense")
    assert bad_key.returncode == 2
    assert "not a public key" in bad_key.stderr


def test_a_wrong_configuration_is_said_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[ssh]\nprot = 1\n")
    done = frameroom("-c", str(file), "config", "check")
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert "did you mean ssh.port?" in done.stderr
    assert "Traceback" not in done.stderr


async def test_check_and_explain(demo: Demo) -> None:
    lines = await demo.admin("system check", system=SYSTEM)
    names = [line["what"] for line in lines]
    assert names[:3] == ["reach", "identity", "credential"]
    assert names[-1] == "how secrets are kept"
    assert all(line["ok"] for line in lines)
    asked = {"engineer": "ana", "system": SYSTEM, "operation": "view", "at_ms": None}
    before = await demo.admin("explain", **asked)
    assert (before["permitted"], before["asked"][-1].endswith(": no")) == (False, True)
    await permit(demo, "view")
    assert (await demo.admin("explain", **asked))["permitted"] is True
    later = demo.app.parts.permission.now + 10 * 3_600_000
    assert (await demo.admin("explain", **(asked | {"at_ms": later})))["why"].startswith("The permission has ended")
    assert [c["name"] for c in await demo.admin("customer list")] == [CUSTOMER]

"""What npm installs: pinned by digest, from no named place; and what the pages with a terminal load is in the wheel."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from gateway.portal.visits import VENDOR
from tests.support.need import need_player

ROOT = Path(__file__).parents[1]
FOLDERS = (Path(), Path("tests/support/oidc_provider"))
"""What is installed by npm: the player, and the OpenID provider of the tests."""


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_lock_has_a_digest_for_everything_and_no_address(folder: Path) -> None:
    text = (ROOT / folder / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: row for name, row in json.loads(text)["packages"].items() if name}
    assert packages
    for name, row in packages.items():
        assert row["integrity"].startswith("sha512-"), name
        assert "resolved" not in row, name
    assert "://" not in text


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_what_is_declared_is_pinned_exactly(folder: Path) -> None:
    package = json.loads((ROOT / folder / "package.json").read_text(encoding="utf-8"))
    declared = package["dependencies"] | package.get("devDependencies", {})
    locked = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert declared
    assert all(locked[f"node_modules/{name}"]["version"] == version for name, version in declared.items())


def test_what_was_installed_goes_with_the_wheel_and_not_into_git() -> None:
    need_player()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    folder = VENDOR.relative_to(ROOT)
    assert f"{folder}/*" in wheel["wheel"]["artifacts"]
    ignored = subprocess.run(["git", "check-ignore", "-q", str(folder / "x")], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    assert {"asciinema-player.min.js", "asciinema-player.css", "asciinema-player.LICENSE"} <= {
        path.name for path in VENDOR.iterdir()
    }


def test_without_npm_it_says_what_is_missing_and_nothing_else_fails(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/frontend.sh", "package-lock.json", "package.json"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "cmp"):
        (tools / name).symlink_to(f"/usr/bin/{name}")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(tmp_path / "scripts/frontend.sh"), *words], env={"PATH": str(tools)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    left, wanted = run(), run("must")
    assert left.returncode == 0
    assert "apt-get install npm" in left.stderr
    assert wanted.returncode == 1

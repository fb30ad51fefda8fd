"""The repository keeps its own rules."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Spelt in pieces, so that this file names none of them.
HOSTS = re.compile(
    "|".join(
        a + r"\." + b for a, b in (("py" + "pi", "org"), ("python" + "hosted", "org"), ("npm" + "js", "(org|com)"))
    )
)
PATHS = re.compile("/" + r"(work|root|home)/\w+|/tmp/" + "bash" + "_jobs")
UNFINISHED = re.compile(
    r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|NotImplemented" + "Error|not (yet )?imple" + "mented", re.IGNORECASE
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("pattern", [HOSTS, PATHS], ids=["package hosts", "machine paths"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if pattern.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_verification_needs_nothing_of_ours_but_audit() -> None:
    for path in (ROOT / "audit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.split(".")[0] not in {"gateway", "connectors", "config"}, path


def modules() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def test_nothing_is_left_unfinished() -> None:
    found = [str(path.relative_to(ROOT)) for path in modules() if UNFINISHED.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_no_task_without_an_owner_and_no_error_swallowed() -> None:
    found = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            orphan = isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.create_task"
            swallowed = (
                isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            )
            if orphan or swallowed:
                found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    assert found == []


@pytest.mark.parametrize("name", ["uv", "run", "dev"])
def test_requirements_are_pinned_and_hashed(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert pins
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins)


def test_what_is_declared_is_what_is_pinned() -> None:
    """A dependency of the distribution that the lock lacks would be missing after `make demo`."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    pinned = re.findall(r"^([\w.-]+)", (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {re.split(r"[\[=><~]", one)[0] for one in declared} <= set(pinned)

"""A deployment of its own on SQLite, that nobody serves, for commands that want one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from gateway.cli.main import main


def deployment(folder: Path) -> str:
    """Its configuration file, made at the first call."""
    config = folder / "frameroom" / "frameroom.toml"
    if not config.exists():
        done = CliRunner().invoke(main, ["init", str(config.parent)])
        assert done.exit_code == 0, done.output
    return str(config)


def logged(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The operator's entries of a kind, the oldest first."""
    words = ["-c", deployment(folder), "audit", "search", "--kind", kind, "--why", "test", "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return sorted(rows, key=lambda row: str(row["time"]))

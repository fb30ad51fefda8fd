"""What `serve` wants of the machine before it opens anything."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from typing import Final

import structlog

from gateway.errors import UnavailableError

log = structlog.get_logger()

DISTRIBUTION: Final = "frameroom"
NAMES: Final = ("gateway", "connectors", "audit", "config")
_WARN_BEHIND_MS: Final = 2_000


def check_names() -> None:
    """Our packages have plain names: UnavailableError when another distribution owns one, or they are not all ours."""
    owners = importlib.metadata.packages_distributions()
    for name in NAMES:
        strangers = sorted(set(owners.get(name, ())) - {DISTRIBUTION})
        if strangers:
            raise UnavailableError(
                f"the package {name!r} also belongs to {', '.join(strangers)}, which is installed beside Frameroom",
                next_step="Install Frameroom in an environment of its own (uv tool, pipx, a container).",
            )
    places = {Path(str(importlib.import_module(name).__file__)).parents[1] for name in NAMES}
    if len(places) > 1:
        raise UnavailableError(
            f"Frameroom's packages come from {len(places)} places: {', '.join(sorted(map(str, places)))}",
            next_step="Install Frameroom in an environment of its own (uv tool, pipx, a container).",
        )


def check_clock(behind_ms: int, limit_s: int) -> None:
    """UnavailableError when the wall clock is more than `limit_s` behind the log's last entry; a warning before."""
    if behind_ms > limit_s * 1000:
        raise UnavailableError(
            f"the machine's clock is {_span(behind_ms)} behind the last entry of the log",
            next_step="Set the clock (`timedatectl`) and have it kept (chrony, systemd-timesyncd). If the log's last "
            "entry was itself written by a clock that ran ahead, raise process.clock_behind_limit_s until then.",
        )
    if behind_ms > _WARN_BEHIND_MS:
        log.warning("the machine's clock is behind the log; time stands still until it has caught up", ms=behind_ms)


def _span(ms: int) -> str:
    minutes = ms // 60_000
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {ms // 1000 % 60} s"

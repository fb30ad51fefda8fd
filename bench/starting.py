"""How long the command line takes to begin: `frameroom --help`, and what TAB runs. Seconds by the wall clock."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

_FRAMEROOM = str(Path(sys.executable).with_name("frameroom"))
_TAB = {"_FRAMEROOM_COMPLETE": "bash_complete", "COMP_WORDS": "frameroom grant re", "COMP_CWORD": "2"}


async def _seconds(words: tuple[str, ...], environment: dict[str, str], wanted: bytes) -> float:
    before = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        _FRAMEROOM, *words, env=os.environ | environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    took = time.perf_counter() - before
    if wanted not in out:
        raise RuntimeError(f"frameroom {' '.join(words)} did not do its work")
    return took


async def help_s() -> float:
    """`frameroom --help`."""
    return await _seconds(("--help",), {}, b"Permissions that customers gave")


async def tab_s() -> float:
    """TAB after `frameroom grant re`."""
    return await _seconds((), _TAB, b"revoke")

"""What a test needs of the machine: skipped aloud where it is missing, a failure where everything was promised."""

from __future__ import annotations

import os
import shutil

import pytest


def need_tool(name: str, package: str) -> str:
    """The path of a program. Without it the test is skipped, or fails under FRAMEROOM_REQUIRE_ALL=1."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        reason = f"{name} is missing (Debian: apt-get install {package})"
        if os.environ.get("FRAMEROOM_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path

"""What a test needs of the machine: skipped aloud where it is missing, a failure where everything was promised."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.portal.visits import has_player

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PROVIDER = Path(__file__).with_name("oidc_provider")


def need_tool(name: str, package: str) -> str:
    """The path of a program. Without it the test is skipped, or fails under FRAMEROOM_REQUIRE_ALL=1."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        _missing(f"{name} is missing (Debian: apt-get install {package})")
    return path


@cache
def _php_has_all(php: str) -> bool:
    wanted = 'exit((int) !(extension_loaded("mbstring") && extension_loaded("pdo_mysql")));'
    return subprocess.run([php, "-r", wanted], check=False, capture_output=True).returncode == 0


def need_php() -> str:
    """The path of a PHP with what FreePBX needs of it here; as `need_tool`."""
    path = need_tool("php", "php-cli")
    if not _php_has_all(path):
        _missing("PHP lacks mbstring or pdo_mysql (Debian: apt-get install php-mbstring php-mysql)")
    return path


def need_player() -> None:
    """What plays terminals in a browser; as `need_tool`."""
    if not has_player():
        _missing("the portal's player is missing (make frontend, which needs npm)")


def need_axe() -> str:
    """The text of axe-core, which finds what people with a disability would stumble over; as `need_tool`."""
    if not AXE.is_file():
        _missing("axe-core is missing (scripts/frontend.sh dev, which needs npm)")
    return AXE.read_text(encoding="utf-8")


def need_provider() -> str:
    """The path of node, with the OpenID provider installed; as `need_tool`."""
    if not (PROVIDER / "node_modules/oidc-provider").is_dir():
        _missing("the OpenID provider of the tests is missing (scripts/oidc-provider.sh must, which needs npm)")
    return need_tool("node", "nodejs")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("FRAMEROOM_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)

"""A PKCS#11 token of a test's own: SoftHSM, which keeps it in a folder."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.need import need_tool

PIN, LABEL, KEY = "24681357", "frameroom", "frameroom-master"
_PLACES = ("/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib/aarch64-linux-gnu/softhsm")


def module() -> Path:
    """SoftHSM's module. Without it the test is skipped, or fails under FRAMEROOM_REQUIRE_ALL=1."""
    need_tool("softhsm2-util", "softhsm2")
    need_tool("pkcs11-tool", "opensc")
    found = [Path(place) / "libsofthsm2.so" for place in _PLACES if (Path(place) / "libsofthsm2.so").exists()]
    if not found:
        reason = "libsofthsm2.so is missing (Debian: apt-get install softhsm2)"
        if os.environ.get("FRAMEROOM_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found[0]


@dataclass(frozen=True, slots=True)
class SoftToken:
    """A token with a key in it, made with the very commands that docs/operating.md shows."""

    folder: Path
    module: Path

    @property
    def tokens(self) -> Path:
        """Where SoftHSM keeps it: taken away, the token is unplugged."""
        return self.folder / "tokens"

    @property
    def pin_file(self) -> Path:
        return self.folder / "pin"

    @property
    def environment(self) -> dict[str, str]:
        """What a process wants that uses it."""
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def run(self, *words: str) -> str:
        done = subprocess.run(words, env=os.environ | self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tool(self, *words: str) -> str:
        """pkcs11-tool, logged in."""
        return self.run(
            "pkcs11-tool", "--module", str(self.module), "--token-label", LABEL, "--login", "--pin", PIN, *words
        )

    def make_key(self, label: str = KEY, *more: str) -> None:
        """An AES key of 256 bits that cannot leave."""
        self.tool("--keygen", "--key-type", "AES:32", "--label", label, *(more or ("--sensitive",)))

    def settings(self, key: str = KEY) -> str:
        """The section [keys] that wants the master key to be in it."""
        return (
            f'[keys]\nmaster = "pkcs11"\npkcs11_module = "{self.module}"\npkcs11_token = "{LABEL}"\n'
            f'pkcs11_key = "{key}"\npkcs11_pin = "file:{self.pin_file}"\npkcs11_timeout_s = 5\n'
        )


def make_token(folder: Path) -> SoftToken:
    """A new one, initialised, without a key."""
    made = SoftToken(folder, module())
    made.tokens.mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {made.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    made.pin_file.touch(0o600)
    made.pin_file.write_text(PIN + "\n")
    made.run("softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", "97531864", "--pin", PIN)
    return made

"""A real MariaDB for the tests, on a Unix socket of its own; databases in it are cheap."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.need import need_tool

_PACKAGE = "mariadb-server"


class MariaDb:
    """One server. `client`: its command line, on the socket, as its owner."""

    def __init__(self) -> None:
        install, server = need_tool("mariadb-install-db", _PACKAGE), need_tool("mariadbd", _PACKAGE)
        self.client = [need_tool("mariadb", "mariadb-client"), "--no-defaults", "-u", "root"]
        self._folder = Path(tempfile.mkdtemp(prefix="frmy"))
        self.socket = str(self._folder / "s")
        self.client += ["-S", self.socket]
        common = ["--no-defaults", f"--datadir={self._folder}/data", "--user=root"] if os.geteuid() == 0 else [
            "--no-defaults", f"--datadir={self._folder}/data"
        ]  # fmt: skip
        # The kernel's own asynchronous reads are counted over the whole machine, and may all be taken.
        common.append("--innodb-use-native-aio=0")
        # Each its own: one that starts takes the temporary tables of all away that share a folder.
        apart = os.environ | {"TMPDIR": str(self._folder)}
        made = subprocess.run(
            [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=False, capture_output=True, text=True, env=apart,
        )  # fmt: skip
        assert made.returncode == 0, f"{made.stdout[-2000:]}{made.stderr[-2000:]}"
        self._process = subprocess.Popen(
            [server, *common, f"--socket={self.socket}", f"--pid-file={self._folder}/pid", "--skip-networking",
             "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--innodb-fast-shutdown=2",
             "--innodb-use-native-aio=0", "--skip-name-resolve", "--collation-server=utf8mb4_general_ci",
             "--character-set-server=utf8mb4", "--innodb-file-per-table=0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=apart,
        )  # fmt: skip
        until = time.monotonic() + 60
        while subprocess.run([*self.client, "-e", "SELECT 1"], capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("MariaDB did not start")
            time.sleep(0.05)

    def run(self, sql: str) -> None:
        """Some statements."""
        subprocess.run([*self.client, "-e", sql], check=True, capture_output=True)

    def stop(self) -> None:
        """End it and take its files away."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

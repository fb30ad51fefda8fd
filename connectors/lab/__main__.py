"""`python -m connectors.lab --data DIR [--state-file FILE] [--people N]`: a lab until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

from connectors.lab.server import LOGIN, start


async def _run(data: Path, state_file: Path | None, people: int) -> None:
    async with start(data, people=people) as lab:
        state = {
            "host": "127.0.0.1",
            "ssh_port": lab.ssh_port,
            "sip_port": lab.sip_port,
            "login": LOGIN,
            "host_key": lab.host_key,
            "private_key_file": str(data / "lab_client"),
            "pid": os.getpid(),
        }
        if state_file is not None:
            # Whole or not at all: whoever waits for the file never reads half of it.
            temporary = state_file.with_name(state_file.name + ".new")
            temporary.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
            temporary.replace(state_file)
        print(json.dumps(state), flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m connectors.lab", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder for its files; made if it is not there")
    parser.add_argument("--state-file", type=Path, help="where to write addresses and key paths, as JSON")
    parser.add_argument("--people", type=int, default=40, help="how many people, when the folder is new")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.data.resolve(), arguments.state_file, arguments.people))


if __name__ == "__main__":
    main()

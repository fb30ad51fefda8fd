"""`make bench`: every figure, one after another, with what the machine itself can do beside them."""

from __future__ import annotations

from bench import events, recording, ssh_load

if __name__ == "__main__":
    events.main()
    recording.main()
    ssh_load.main()

"""`make bench`: every figure beside its goal.

What the parts can do by themselves: `python -m bench.events`, `python -m bench.recording`, `python -m bench.record`,
`python -m bench.portal`, `python -m bench.long_recording`, `python -m bench.search` (a million entries; `--entries
10000000` is its goal's size), `python -m bench.flat_files`, and of each phone system the module of its name.
"""

from __future__ import annotations

from bench import (
    ami,
    avaya,
    cucm,
    figures,
    flat_files,
    freepbx,
    fusionpbx,
    long_recording,
    portal,
    realtime,
    record,
    search,
    tcx,
    yeastar,
)

if __name__ == "__main__":
    figures.main()
    print("\nthe record\n")
    record.main()
    long_recording.main()
    search.main()
    print("\nthe customer's pages\n")
    portal.main()
    print("\nAsterisk with flat files\n")
    flat_files.main()
    print("\nphone systems\n")
    realtime.main()
    ami.main()
    tcx.main()
    freepbx.main()
    cucm.main()
    fusionpbx.main()
    yeastar.main()
    avaya.main()

"""`make bench`: every figure beside its goal.

What the parts can do by themselves: `python -m bench.events`, `python -m bench.recording`, `python -m bench.record`,
`python -m bench.portal`, `python -m bench.ami`.
"""

from __future__ import annotations

from bench import ami, figures, portal, record

if __name__ == "__main__":
    figures.main()
    print("\nthe record\n")
    record.main()
    print("\nthe customer's pages\n")
    portal.main()
    print("\nphone systems\n")
    ami.main()

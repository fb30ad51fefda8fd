"""`make bench`: every figure beside its goal.

What the parts can do by themselves: `python -m bench.events`, `python -m bench.recording`, `python -m bench.record`.
"""

from __future__ import annotations

from bench import figures, record

if __name__ == "__main__":
    figures.main()
    print("\nthe record\n")
    record.main()

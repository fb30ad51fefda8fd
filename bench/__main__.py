"""`make bench`: every figure beside its goal.

What the parts can do by themselves: `python -m bench.events`, `python -m bench.recording`.
"""

from __future__ import annotations

from bench import figures

if __name__ == "__main__":
    figures.main()

"""`make bench`: every figure beside its goal, then what the parts can do by themselves."""

from __future__ import annotations

from bench import events, figures, recording

if __name__ == "__main__":
    figures.main()
    print("\nThe parts by themselves:")
    events.main()
    recording.main()

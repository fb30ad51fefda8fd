"""The kit that every connector passes, ours and a stranger's: `pytest --connector=NAME`.

Reading order: `bench` (what a connector's author supplies), `people` (whom the kit plants, and the secrets that are
followed), `relay` (cuts a connection at a byte), `child` and `memory` (a process in which everything that a connector
leaves behind is searched), `plugin` (the option), `suite/` (the tests), `mutate` (whether tests notice a broken guard).
How one is written and tried: docs/writing-a-connector.md.
"""

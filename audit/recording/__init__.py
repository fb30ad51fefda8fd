"""Recordings: what a terminal showed, durable before it can run ahead, sealed before it touches a disk.

Reading order: `frames` (bytes), `recorder` (journal and segments; `disk` is its thread), `recover` (after a crash),
`player` (reading, search, export) with `sanitise`.
"""

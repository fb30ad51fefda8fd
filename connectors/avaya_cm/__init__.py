"""Avaya Communication Manager over OSSI, the programs' terminal of its SAT, on SSH.

Reading order: `messages` (all that can be sent), `answers` (what is kept of what comes), `link` (the terminal),
`connector`.
"""

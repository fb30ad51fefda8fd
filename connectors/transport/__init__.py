"""Connections to phone systems: pinned, bounded, with a deadline on every step."""

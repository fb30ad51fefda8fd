"""How to talk to a phone system, and nothing else. Start at `contract`."""

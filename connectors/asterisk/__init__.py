"""Asterisk whose users live in PostgreSQL ("realtime"), through a role that cannot read a password.

Reading order: `settings` (what the operator says), `statements` (the only SQL that can be sent), `link` (identity,
credential, transport), `proof` (what our role could read), `people` (rows to persons), `connector` (the operations).
"""

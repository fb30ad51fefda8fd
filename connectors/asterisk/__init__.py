"""Asterisk whose users live in PostgreSQL ("realtime"), through a role that cannot read a password.

Reading order: `settings` (what the operator says), `statements` (the only SQL that can be sent), `rights` (what our
role may), `people` (rows to persons), `connector` (the operations). Identity, credential and what the role could read
are `transport.postgres` and `transport.postgres_role`.
"""

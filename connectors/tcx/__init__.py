"""3CX version 20 by its configuration interface (XAPI): OData over HTTPS.

Reading order: `settings` (what the operator says), `requests` (all that can be sent), `answers` (what is kept of what
comes back), `tokens` and `link` (the one token, what a status means), `numbers` (direct numbers as they are written),
`rules` (the inbound rules that hold them), `giving` (what a change of a number has to write), `people` (a user as a
person), `connector` (the operations), `proof` (`system check`).
"""

"""FusionPBX (FreeSWITCH): its PostgreSQL, through a role that cannot read a password, one domain of it.

Reading order: `settings` (what the operator says), `rights` (what our role may), `requests` (all that can be sent),
`statements` (its SQL), `numbers` and `dialplan` (direct numbers, as FusionPBX writes them), `people` (rows to persons),
`connector` (the operations), `direct`, `removal` and `resets` (the long ones), `event_socket` (emptying FreeSWITCH's
cache, and nothing else).
"""

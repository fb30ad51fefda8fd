"""Asterisk whose users live in flat files, through a helper on the phone system that tells no password.

Reading order: `frameroom_helper` (the one file that runs there), `requests` (the only lines that can be sent to it),
`link` (identity, credential, the forced command, one request at a time), `connector` (the operations), `install`
(what an administrator does, or lets Frameroom do once, on the phone system).
"""

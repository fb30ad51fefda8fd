"""Asterisk with its people in pjsip.conf, over its manager interface (AMI), with nothing installed on it.

Reading order: `settings` (what the operator says), `actions` (all that can be sent), `answers` (what is kept of what
comes back), `link` (identity, credential, transport), `people` (sections to persons), `mailbox` (a mailbox and its
line), `connector` (the operations), `proof` (what our account could do).
"""

"""Cisco Unified Communications Manager over AXL, and voicemail PINs in Unity Connection over CUPI.

Reading order: `settings` (what the operator says), `requests` (all that can be sent), `answers` (what is kept of what
comes back), `link` (identity, credential, version, what went wrong), `people` (rows to persons), `rules` (what is whose
to change), `connector` (the operations), `proof` (what our account could do).
"""

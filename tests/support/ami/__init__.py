"""A stand-in for an Asterisk's manager interface: answers, keeps state and refuses as a live 22.10.1 did.

`config` (files, templates, filters, updates), `voicemail` (mailboxes), `server` (the protocol), `site` (one site,
written for this). Whoever has the captures of the live system runs the transcripts against it:
tests/connectors/asterisk_ami/test_transcripts.py.
"""

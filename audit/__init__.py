"""What anyone can check afterwards: events, sealing, the log, recordings. Formats: docs/formats.md."""

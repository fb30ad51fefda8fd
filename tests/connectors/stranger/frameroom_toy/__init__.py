"""A connector for Toy, a phone system that speaks JSON lines over TLS. An example: Toy does not exist."""

"""A visit: the SSH door, the session, its commands."""

"""The way to a phone system."""

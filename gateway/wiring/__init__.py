"""Putting the parts together."""

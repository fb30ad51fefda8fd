"""A training phone system that ships with Frameroom, and the connector to it."""

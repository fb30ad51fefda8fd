"""The tests that every connector passes. Each says in its name what a user, or an attacker, would notice."""

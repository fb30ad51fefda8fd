"""Who the engineers are and what proves it."""

"""Pages for the customer."""

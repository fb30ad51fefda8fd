"""A Unified Communications Manager and its Unity Connection that answer in the shapes of Cisco's schemas."""

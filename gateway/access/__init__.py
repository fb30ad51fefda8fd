"""Who may: customers, agreements, requests, grants."""

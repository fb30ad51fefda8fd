"""State: tables, engine, scopes. Whatever belongs to a customer is reached only through that customer's scope."""

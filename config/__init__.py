"""What the operator writes: one TOML file, checked whole, with every error at once."""

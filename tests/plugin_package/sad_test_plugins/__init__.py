"""One plugin of every kind, and some that do not load."""

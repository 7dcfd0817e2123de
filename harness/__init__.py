"""Run an agent in an environment and record the episodes."""

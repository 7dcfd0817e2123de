"""The command line: the one place that reaches across packages, and only inside a command."""

"""The `prober` command."""

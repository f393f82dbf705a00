"""prober.toml, read whole, with its secrets and what was not said filled in."""

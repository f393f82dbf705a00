"""When a provider is breached, and when it has recovered. Pure."""

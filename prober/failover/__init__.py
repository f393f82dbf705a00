"""From a provider's health to a flip: judge, decide, carry out, repair, notify."""

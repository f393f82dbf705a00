"""Events become text, wait in the outbox, and are delivered until somebody has them."""

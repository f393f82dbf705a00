"""What the running daemon answers over HTTP."""

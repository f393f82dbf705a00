"""What an alert says: one function for each event."""

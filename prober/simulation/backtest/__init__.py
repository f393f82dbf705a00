"""Recorded canaries through the true detectors and decisions, on a flag that exists only here."""

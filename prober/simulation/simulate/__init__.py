"""The true policy, detectors and decisions in virtual time, against generated providers."""

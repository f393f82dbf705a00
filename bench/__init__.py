"""Measurements, each in one file, each as a ratio against a bare baseline of the same run."""

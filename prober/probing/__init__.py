"""Canaries: when they are sent, how they travel, what came back."""

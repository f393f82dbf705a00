"""Prober watches LLM providers with canary prompts and keeps the primary-provider flag."""

__version__ = "0.1.0"

"""Pieces of prober.toml that tests put together."""

from __future__ import annotations

A = """
[[provider]]
name = "a"
api = "anthropic"
model = "m"
"""
B = """
[[provider]]
name = "b"
api = "openai"
model = "m"
"""
CHAT = """
[[route]]
name = "chat"
candidates = ["a", "b"]
"""
GOOD = A + B + CHAT
SECRET = "sk-ant-this-must-not-be-shown"

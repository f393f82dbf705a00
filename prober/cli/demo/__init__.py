"""The demo: the real daemon, a real Redis, an emulated provider that half fails, an application."""

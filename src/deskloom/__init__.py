"""Deskloom keeps a team's support knowledge in one place and in step."""

__version__ = "0.1.0"

"""Eleven API backends, one class each, named like its module."""

from .openai_api import openai_api

__all__ = [
    "openai_api",
]

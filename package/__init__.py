"""Retrofits Python API clients with a request queue, exponential backoff and environment keys."""

"""Every test in this folder runs twice: with the plain backends and with the enhanced ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

API = "ipfs_accelerate_py.api_backends"


@pytest.fixture(params=["plain", "enhanced"])
def load(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Return a function that gives a backend's module by name: `load("openai_api").openai_api`."""
    package = f"{API}.plain" if request.param == "plain" else API
    return lambda name: importlib.import_module(f"{package}.{name}")

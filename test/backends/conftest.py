"""Every test in this folder runs twice: with the plain backends and with the enhanced ones.

A file `test_<backend>.py` tests the backend that it is named for, against a server that answers as the vendor does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..loopback import LoopbackServer
from .cases import CASES, Case

API = "ipfs_accelerate_py.api_backends"


@pytest.fixture(params=[pytest.param("plain", marks=pytest.mark.plain), "enhanced"])
def load(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Return a function that gives a backend's module by name: `load("openai_api").openai_api`."""
    package = f"{API}.plain" if request.param == "plain" else API
    return lambda name: importlib.import_module(f"{package}.{name}")


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """Return the backend that the file with the test is named for."""
    name = request.module.__name__.rpartition(".test_")[2]
    return next(case for case in CASES if case.name == name)


@pytest.fixture
def backend(case: Case, load: Callable[[str], Any]) -> Any:
    """Return the backend's module."""
    return load(case.name)


@pytest.fixture
def server(case: Case) -> Iterator[LoopbackServer]:
    """Return a server that answers as the vendor does."""
    with LoopbackServer(case.answers().app) as server:
        yield server


@pytest.fixture
def api(case: Case, backend: Any, server: LoopbackServer) -> Iterator[Any]:
    """Return the backend with the right key, which talks to the server."""
    api = case.make(backend, server)
    api.max_retries = 0  # nothing to a plain backend; one attempt to an enhanced one
    yield api
    api.close()

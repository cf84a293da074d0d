"""A backend class that shares its limit, a Redis for a module's tests, and accounts of their own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend_retrofit_runtime import RequestEngine

from .apis import SharedApi
from .redis_process import MISSING, SERVER, RedisProcess

_names = itertools.count()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisProcess]:
    if SERVER is None:
        pytest.skip(MISSING)
    with RedisProcess() as server:
        yield server


@pytest.fixture
def account() -> str:
    return f"account-{os.getpid()}-{next(_names)}"


@pytest.fixture(params=["redis", "machine"])
def where(request: pytest.FixtureRequest) -> str:
    """A place to share in: each test that takes this is run with each of them."""
    if request.param == "machine":
        return "machine"
    return str(request.getfixturevalue("redis_server").url)


@pytest.fixture
def make() -> Iterator[Callable[..., SharedApi]]:
    """Make instances that are closed at the end."""
    made: list[SharedApi] = []

    def make_one(**settings: Any) -> SharedApi:
        made.append(SharedApi(**settings))
        return made[-1]

    yield make_one
    for api in made:
        RequestEngine.of(api).close(join=False)  # a test that failed may have left requests in flight

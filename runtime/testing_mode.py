"""A switch for tests: no waiting, and as many retries as a test wants."""

import contextlib
from typing import Any


class TestingMode(contextlib.ContextDecorator):
    """Make a whole test run quick: `with RequestEngine.testing(): ...`, or as a decorator.

    All backends of the process that use this runtime are meant, in all threads.

    Args:
        waits: False: retries come at once, and no `Retry-After` holds anything back.
        retries: this many retries at most, whatever `max_retries` says; None: as it says.
    """

    waits = True  # of the block that was entered last
    retries: "int | None" = None

    def __init__(self, waits: bool = False, retries: "int | None" = None) -> None:
        self._wanted = (waits, retries)
        self._outer: list[tuple[bool, int | None]] = []

    def __enter__(self) -> "TestingMode":
        self._outer.append((TestingMode.waits, TestingMode.retries))
        TestingMode.waits, TestingMode.retries = self._wanted
        return self

    def __exit__(self, *exc: Any) -> None:
        TestingMode.waits, TestingMode.retries = self._outer.pop()

"""R18: results that an engine keeps until they are asked for."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from backend_retrofit_runtime.tasks.waiter import Waiter


def nothing() -> None:
    """There is no result."""


def test_R18_results_that_never_come_keep_no_other_from_being_asked_for() -> None:
    waiter = Waiter()
    lost: list[Future[Any]] = [waiter.future(nothing, lambda: None) for _ in range(150)]
    assert waiter.future(lambda: ("here", None), lambda: None).result(20) == "here"
    assert not any(future.done() for future in lost)
    for future in lost:
        future.cancel()


def test_R18_a_result_is_there_once_the_engine_has_it() -> None:
    waiter, there = Waiter(), threading.Event()
    future = waiter.future(lambda: ("here", None) if there.is_set() else None, lambda: None)
    assert not future.done()
    there.set()
    assert future.result(20) == "here"


def test_R18_a_result_is_not_asked_for_once_it_is_cancelled() -> None:
    waiter, cancelled = Waiter(), threading.Event()
    future = waiter.future(nothing, cancelled.set)
    assert future.cancel()
    assert cancelled.wait(20)

"""Clocks, and what a thread waits on, wherever the engine is imported and whatever was replaced around it.

freezegun replaces the functions of `time` in every module, time-machine changes the wall clock for all of them, and gevent
replaces threads, locks and queues, early or late or in part. A request has to wait in real time all the same, and a
greenlet must not stop the others of its thread.
"""

import importlib
import importlib.machinery
import importlib.util
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


def _own_time() -> Any:
    """Return a `time` module of our own, whose functions nobody can find to replace them."""
    spec = importlib.machinery.BuiltinImporter.find_spec("time")
    if spec is None or spec.loader is None:  # not built in: an interpreter other than CPython
        return time
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _own_time()
monotonic: Callable[[], float] = _time.monotonic


def wall_clock() -> float:
    """Return the seconds since the epoch, also where a test travels in time."""
    machine = sys.modules.get(
        "time_machine"
    )  # it changes the function itself, and says how to get around that
    try:
        return machine.escape_hatch.time.time() if machine is not None else _time.time()  # type: ignore[no-any-return]
    except (AttributeError, ValueError):  # another version of it; nobody travels just now
        return _time.time()  # type: ignore[no-any-return]


def has_hub() -> bool:
    """Return True in a thread in which gevent switches between greenlets, patched or not."""
    local = sys.modules.get("gevent._hub_local")
    try:
        return local is not None and local.get_hub_if_exists() is not None
    except AttributeError:
        return False


def run_greenlets() -> None:
    """At the end of a thread that was one before gevent patched: run until they end the greenlets that it has started.

    They count as threads, and would end with it in the middle of what they do.
    """
    patches = sys.modules.get("gevent.monkey")
    if patches is None or not patches.is_module_patched("threading") or not has_hub():
        return
    if importlib.import_module("greenlet").getcurrent().parent is None:
        importlib.import_module("gevent").get_hub().join()


def new_signal() -> Any:
    """Return a lock that is taken, for its maker to wait on until somebody releases it: in a greenlet one of gevent's."""
    signal = importlib.import_module("gevent.thread").allocate_lock() if has_hub() else threading.Lock()
    signal.acquire()
    return signal


def new_queue() -> Any:
    """Return a queue for threads that are started from now on; after gevent has patched, those are greenlets."""
    return queue.SimpleQueue()

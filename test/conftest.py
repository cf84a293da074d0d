"""For the whole suite: what is run first, what is read once, and what a collection of garbage need not look at."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys

import pytest

# The tests start hundreds of processes: what one has compiled, the next ones need not.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "plain: tests a plain backend, which has an enhanced form")
    config.addinivalue_line("markers", "example(file): runs this file of docs/examples.md")
    # A shell lets what it starts with `&` ignore Ctrl-C, and so would all processes to which the tests send one.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means: a process more than there are cores, as now and then one waits; 8 at most.

    Each imports the SDKs of all vendors, which takes it ten seconds and 250 MB.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests first that share something expensive (a wheel, a browser, a server of moto's).

    Where several processes run the tests (pytest-xdist), those of a group stay together in one. They take longest,
    and at the end all others would wait for them.
    """
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_collection_finish() -> None:
    """Let what the imports of all test modules made be read once, and be left out of every later collection of garbage.

    Each session of boto3 would parse the descriptions of AWS's services anew, which takes a sixth of a second.
    And several tests collect, to see that something is freed; with the SDKs of all vendors in memory, each collection
    takes a third of a second.
    """
    session = sys.modules.get("botocore.session")
    if session:
        session.create_loader = functools.cache(session.create_loader)  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()

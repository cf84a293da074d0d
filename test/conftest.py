"""For the whole suite: what is run first, what is read once, and what a collection of garbage need not look at."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import tempfile
from typing import Any

import hypothesis
import pytest
import trustme

# A busy machine is no failure.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

# Tens of thousands of classes and functions are made while the test modules are imported, and none is garbage:
# collections take a third of that time. They go on where the imports have ended.
gc.disable()

# The tests start hundreds of processes: what one has compiled, the next ones need not.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

TOGETHER = (
    "test/backends/test_s3_kit.py",
    "test/codemods/reporting/page/test_document.py",
    "test/docs/test_blocks.py",
    "test/docs/test_examples.py",
    "test/docs/test_links.py",
    "test/servers/test_llama_cpp.py",
    "test/servers/test_s3_servers.py",
    "test/shared/test_servers.py",
    "test/tasks/test_tasks.py",
    "test/test_packaging.py",
    "test/test_pre_commit.py",
    "test/test_types.py",
)
"""The files whose tests share something expensive: a wheel, a browser, a server, workers."""
LONG = (
    "test/codemods/reporting/page/test_document.py",
    "test/test_packaging.py",
    "test/test_pre_commit.py",
    "test/test_types.py",
    "test/test_runtime_and_tools.py",
    "test/test_figures.py",
    "test/docs/test_links.py",
    "test/backends/test_s3_kit.py",
    "test/servers/",
    "test/codemods/disk/test_processes.py",
    "test/codemods/disk/test_places.py",
    "test/runtime/test_interrupted.py",
)
"""Where tests keep a core busy for long: they run other suites, tools, benchmarks or a browser. The longest are first."""
WAITING = (
    "test/runtime_package/test_assembled.py",
    "test/docs/test_blocks.py",
    "test/docs/test_examples.py",
    "test/tasks/",
    "test/shared/test_servers.py",
    "test/shared/",
    "test/runtime/test_gateways.py",
    "test/runtime/test_ctrl_c.py",
    "test/runtime/test_withdrawal.py",
    "test/runtime/test_chaos.py",
    "test/runtime/test_places.py",
    "test/test_demo.py",
    "test/test_watch.py",
    "test/runtime/",
)
"""Where tests mostly wait: for a lease to end, for a rate, for a server that starts again. The longest are first."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "plain: tests a plain backend, which has an enhanced form")
    config.addinivalue_line("markers", "example(file): runs this file of docs/examples.md")
    # A shell lets what it starts with `&` ignore Ctrl-C, and so would all processes to which the tests send one.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # All traffic stays on this machine, whatever proxy it has; and requests, told so, reads the environment only once.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"
    if not hasattr(config, "workerinput"):  # the processes of xdist take it from this one
        _trust_one_certificate(config)


def _trust_one_certificate(config: pytest.Config) -> None:
    """Let clients read one certificate of an authority and not the 140 of the web, which takes each of them 15 ms.

    All traffic stays on this machine; tests of TLS say themselves what is trusted.
    """
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    file = os.path.join(folder.name, "authority.pem")
    trustme.CA().cert_pem.write_to_path(file)
    os.environ["SSL_CERT_FILE"] = file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means: five processes more than there are cores, as most of them wait; 8 at most.

    Each imports the SDKs of all vendors, which takes it five seconds and 250 MB.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 5, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand the tests of a file that is in `TOGETHER` to one process, and all others one by one."""
    from test.lanes import Lanes

    return Lanes(config, log, TOGETHER) if config.getvalue("dist") == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those first that take longest, as at the end others would wait for them, and those last that mostly wait."""
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    for index, start in enumerate(LONG):
        if nodeid.startswith(start):
            return index - len(LONG)
    for index, start in enumerate(WAITING):
        if nodeid.startswith(start):
            return len(WAITING) - index
    return 0


def pytest_collection_finish() -> None:
    """Let what the imports of all test modules made be read once, and be left out of every later collection of garbage.

    Each session of boto3 would parse the descriptions of AWS's services anew, which takes a sixth of a second.
    And several tests collect, to see that something is freed; with the SDKs of all vendors in memory, each collection
    takes a third of a second.
    """
    session = sys.modules.get("botocore.session")
    if session:
        session.create_loader = functools.cache(session.create_loader)  # type: ignore[attr-defined]
    gc.freeze()  # without a collection before: next to nothing of it is garbage
    gc.set_threshold(20_000, 20, 20)  # trees of LibCST are large: with the usual 700, a twentieth of the time
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Now and then, leave out what the tests have made and kept as well: modules, clients, reports."""
    count = item.session.stash.setdefault(_ENDED, 0) + 1
    item.session.stash[_ENDED] = count
    if count % 100 == 0:
        _leave_out_of_collections()


_ENDED = pytest.StashKey[int]()
"""How many tests have ended in this process."""


def _leave_out_of_collections() -> None:
    gc.collect()
    gc.freeze()

"""What Ctrl-C does: while modules are read, it ends the process at once and without a traceback; in a run, it interrupts.

Imports nothing of the project, so that it can be the first thing that is imported.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

INTERRUPTED = 130
"""The exit status after Ctrl-C, as a shell gives it: 128 and the signal's number."""


def end_quietly() -> None:
    """Let Ctrl-C end the process from now on, unless somebody else decides what it does.

    Raising KeyboardInterrupt would not do: what imports may catch it, and go on.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_now)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first Ctrl-C raise KeyboardInterrupt meanwhile; the second one ends the process, whatever it is doing."""
    if signal.getsignal(signal.SIGINT) is not end_now:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, end_now)


def end_now(*_: object) -> NoReturn:
    """End the process with the status of Ctrl-C, whatever it is doing."""
    os._exit(INTERRUPTED)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGINT, end_now)
    raise KeyboardInterrupt

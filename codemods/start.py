"""Where the commands begin: Ctrl-C while the modules are still being read, for a second, ends them without a traceback.

Imports nothing of the project by itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

INTERRUPTED = 130
"""The exit status after Ctrl-C, as a shell gives it: 128 and the signal's number."""


def add_queue_backoff() -> int:
    """Run `add-queue-backoff`."""
    _quiet_ctrl_c()
    from . import cli

    return _status(cli.main())


def fix_openai_api_implementation() -> int:
    """Run `fix-openai-api-implementation`: the same for the OpenAI backend alone."""
    _quiet_ctrl_c()
    from . import cli

    return _status(cli.main(prog="fix-openai-api-implementation", api="openai_api"))


def _status(status: int) -> int:
    """Return a status, but end at once after Ctrl-C: while Python ends, the next one would give another status."""
    if status == INTERRUPTED:
        _end()
    return status


def _quiet_ctrl_c() -> None:
    """Let Ctrl-C end the process from now on, unless somebody else decides what it does.

    Raising KeyboardInterrupt would not do: what imports may catch it, and go on.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first Ctrl-C raise KeyboardInterrupt meanwhile; the second one ends the process, whatever it is doing."""
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> NoReturn:
    os._exit(INTERRUPTED)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGINT, _end)
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Not this copy of the module: the one that `cli` imports, too.
    from . import start

    sys.exit(start.add_queue_backoff())

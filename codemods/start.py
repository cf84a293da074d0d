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

INTERRUPTED = 130
"""The exit status after Ctrl-C, as a shell gives it: 128 and the signal's number."""


def add_queue_backoff() -> int:
    """Run `add-queue-backoff`."""
    with _quiet_ctrl_c():
        from . import cli
    return cli.main()


def fix_openai_api_implementation() -> int:
    """Run `fix-openai-api-implementation`: the same for the OpenAI backend alone."""
    with _quiet_ctrl_c():
        from . import cli
    return cli.main(prog="fix-openai-api-implementation", api="openai_api")


@contextmanager
def _quiet_ctrl_c() -> Iterator[None]:
    """End the process at Ctrl-C. Raising KeyboardInterrupt would not do: what imports may catch it, and go on."""
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is not signal.default_int_handler:  # somebody else decides what Ctrl-C does
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(add_queue_backoff())

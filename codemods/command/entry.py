"""Where the commands begin: Ctrl-C while the modules are still being read, for a second, ends them without a traceback.

Imports `main`, and all that it needs, only when Ctrl-C has been seen to.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from ..source.garbage import no_garbage_collection
from . import ctrl_c


def add_queue_backoff() -> int:
    """Run `add-queue-backoff`."""
    return _status(_main()())


def fix_openai_api_implementation() -> int:
    """Run `fix-openai-api-implementation`: the same for the OpenAI backend alone."""
    return _status(_main()(prog="fix-openai-api-implementation", api="openai_api"))


def _main() -> Callable[..., int]:
    """Return `main`; its modules are left out of every later collection of garbage."""
    ctrl_c.end_quietly()
    with no_garbage_collection():
        from .main import main

    gc.freeze()
    return main


def _status(status: int) -> int:
    """Return a status, but end at once after Ctrl-C: while Python ends, the next one would give another status."""
    if status == ctrl_c.INTERRUPTED:
        ctrl_c.end_now()
    return status


if __name__ == "__main__":
    sys.exit(add_queue_backoff())

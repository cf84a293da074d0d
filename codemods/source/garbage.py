"""Puts garbage collection off. Needs nothing but the standard library, as it is among the first things that are imported."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Put garbage collection off: syntax trees are many objects and no garbage, and each round would go through them.

    So are the modules that are imported.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

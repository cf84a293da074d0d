"""Reads files that may have come from anywhere: only regular ones, and none that is too large.

A pipe never ends, and neither does a link to `/dev/zero`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST = 100_000_000
"""Bytes of a file that is read at all; what may have calls is to be smaller (`Options.largest`)."""


def read(path: Path, largest: int = LARGEST) -> bytes:
    """Return a file's content; raise OSError, also for what is not a file or too large."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise OSError(0, "it is not there") from None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is not a regular file")
    if status.st_size > largest:
        raise OSError(0, f"it is larger than {largest // 1_000_000} MB")
    return path.read_bytes()

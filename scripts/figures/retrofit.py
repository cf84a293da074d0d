"""The client of `plain_client.py`, plain and as the codemod makes it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from .plain_client import Client as PlainClient

__all__ = ["PlainClient", "number_in_line", "retrofitted"]

PLAIN = Path(__file__).parent / "plain_client.py"


@cache
def retrofitted() -> Any:
    """Return the class `Client` after `add-queue-backoff --runtime shared` was run over a copy of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copy(PLAIN, Path(folder) / "retrofitted_client.py")
        command = [sys.executable, "-m", "backend_retrofit.codemods.add_queue_backoff", "--runtime", "shared"]
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the codemod failed: {done.stdout}{done.stderr}")
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("retrofitted_client").Client
        finally:
            sys.path.remove(folder)


def number_in_line() -> int | None:
    """Return the number that the queue has given to the request which this code belongs to, or None."""
    module = sys.modules.get("_request_engine")
    engines = [] if module is None else module.engines.values()
    slots = (module.slot_in_hand(engine.gate) for engine in list(engines))
    return next((slot.number for slot in slots if slot is not None), None)

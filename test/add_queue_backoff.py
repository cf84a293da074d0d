"""The documented command `python -m test.add_queue_backoff`: the same as the installed one."""

from __future__ import annotations

import sys

from backend_retrofit.codemods.command.entry import add_queue_backoff

if __name__ == "__main__":
    sys.exit(add_queue_backoff())

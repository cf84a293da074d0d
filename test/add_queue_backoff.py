"""The documented command `python -m test.add_queue_backoff`: the same as the installed one."""

from __future__ import annotations

import sys

from backend_retrofit.codemods.add_queue_backoff import main

if __name__ == "__main__":
    sys.exit(main())

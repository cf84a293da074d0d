"""`python -m backend_retrofit`: the command `add-queue-backoff`, where the scripts of the environment are not on the PATH."""

import sys

from .codemods.command.entry import add_queue_backoff

if __name__ == "__main__":
    sys.exit(add_queue_backoff())

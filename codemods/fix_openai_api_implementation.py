"""The same codemod for the OpenAI backend alone."""

from __future__ import annotations

import sys

from .add_queue_backoff import AddQueueBackoffCommand
from .command import entry


class FixOpenAIApiImplementationCommand(AddQueueBackoffCommand):
    """Gives an OpenAI backend its blocks."""

    DESCRIPTION = "Add a request queue, exponential backoff and environment keys to an OpenAI backend."


def main() -> int:
    """Run the command."""
    return entry.fix_openai_api_implementation()


if __name__ == "__main__":
    sys.exit(main())

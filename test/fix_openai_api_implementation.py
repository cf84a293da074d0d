"""The documented command `python -m test.fix_openai_api_implementation`: the same as the installed one."""

from __future__ import annotations

import sys

from backend_retrofit.codemods.command.entry import fix_openai_api_implementation

if __name__ == "__main__":
    sys.exit(fix_openai_api_implementation())

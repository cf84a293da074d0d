"""The documented command `python -m test.apis.test_openai_api`: runs the tests of the OpenAI backend."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def main(arguments: list[str]) -> int | str:
    """Return pytest's exit status, or what to run where pytest or the project is not installed."""
    for needed in ("pytest", "ipfs_accelerate_py"):
        if importlib.util.find_spec(needed) is None:
            return f"{needed} is not installed in this environment. Run: scripts/test test/backends/test_openai_api.py"
    import pytest

    tests = Path(__file__).parent.parent / "backends" / "test_openai_api.py"
    return pytest.main([str(tests), *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The documented command `python -m test.apis.test_openai_api`: runs the tests of the OpenAI backend."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    tests = Path(__file__).parent.parent / "backends" / "test_openai_api.py"
    sys.exit(pytest.main([str(tests), *sys.argv[1:]]))

"""Real servers, each started once; and the backends, plain and enhanced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..backends.cases import CASES
from ..backends.conftest import load
from . import processes
from .gateway import Gateway

__all__ = ["load"]

MODELS = ["gpt-6-luna", "Qwen/Qwen3-8B"]


@pytest.fixture(scope="session")
def llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of llama.cpp's server, which knows the keys of all vendors."""
    keys = sorted({case.answers().KEY for case in CASES})
    with processes.llama_cpp(tmp_path_factory.mktemp("llama_cpp"), keys, MODELS) as url:
        yield url


@pytest.fixture
def gateway(llama_cpp: str) -> Iterator[Gateway]:
    """Return a gateway in front of llama.cpp's server."""
    with Gateway(llama_cpp) as gateway:
        yield gateway

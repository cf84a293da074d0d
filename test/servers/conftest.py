"""Real servers, each started once; and the backends, plain and enhanced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..backends.cases import CASES, Case
from ..backends.conftest import load
from . import processes
from .gateway import Gateway
from .methods import PATHS

__all__ = ["load"]

KEYS = sorted({case.answers().KEY for case in CASES})
MODELS = ["gpt-6-luna", "Qwen/Qwen3-8B"]


@pytest.fixture(scope="session")
def llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of llama.cpp's server, which knows the keys of all vendors."""
    with processes.llama_cpp(tmp_path_factory.mktemp("llama_cpp"), KEYS, MODELS) as url:
        yield url


@pytest.fixture(scope="session")
def litellm(llama_cpp: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a litellm proxy in front of llama.cpp's server; it knows the keys of all vendors."""
    models = [*MODELS, "claude-opus-5-5", "openai/gpt-oss-120b", "gemini-3.8-flash", "text-embedding-3-small"]
    models += ["gpt-oss-20b", "BAAI/bge-base-en-v1.5"]
    folder = tmp_path_factory.mktemp("litellm")
    with processes.litellm(folder, KEYS, models, llama_cpp, MODELS[0]) as url:
        yield url


@pytest.fixture(scope="session")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of aimock, which knows the keys of all vendors."""
    with processes.aimock(tmp_path_factory.mktemp("aimock"), KEYS) as url:
        yield url


@pytest.fixture(scope="session")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of MLServer, with a model `resnet` that sums each row."""
    with processes.mlserver(tmp_path_factory.mktemp("mlserver"), "resnet") as url:
        yield url


@pytest.fixture(scope="session")
def oai2ollama(llama_cpp: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a proxy in front of llama.cpp's server that speaks Ollama's API."""
    with processes.oai2ollama(tmp_path_factory.mktemp("oai2ollama"), KEYS[0], llama_cpp) as url:
        yield url


@pytest.fixture
def gateway(llama_cpp: str) -> Iterator[Gateway]:
    """Return a gateway in front of llama.cpp's server."""
    with Gateway(llama_cpp) as gateway:
        yield gateway


def made(server: str, case: Case, load: Callable[[str], Any], url: str, key: str | None = None) -> Any:
    """Return a backend that talks to a server of others at `url`, with a right key unless another is given."""
    key = case.answers().KEY if key is None else key
    path = PATHS.get((server, case.name), case.path)
    return getattr(load(case.name), case.name)({}, {}, key, url + path)


def is_enhanced(api: Any) -> bool:
    """Return True if a backend has a queue."""
    return hasattr(api, "queue_stats")

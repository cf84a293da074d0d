"""Which methods the real servers have. scripts/servers_table makes the table of docs/servers.md of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..backends.cases import CASES, Case

_CHAT = "chat stream_chat complete stream_complete"
LLAMA_CPP = {
    "openai_api": f"{_CHAT} respond stream_response count_tokens embed list_models",
    "claude": "chat stream_chat count_tokens list_models",
    "groq": "chat stream_chat embed list_models",
    "hf_tgi": f"{_CHAT} list_models health",
    "hf_tei": "openai_embed rerank health",
    "llvm": f"{_CHAT} respond stream_response embed rerank tokenize list_models model_info",
    "opea": "embed",
}
"""The methods of each backend that llama.cpp's server has."""

PATHS = {"groq": "/v1"}
"""What the base URL ends in, where it is not the vendor's."""


def name_of(call: Callable[[Any], Any]) -> str:
    """Return the name of the method that one of the calls of `CASES` is about."""
    inner = call.__defaults__[0] if call.__defaults__ else call
    names: tuple[str, ...] = inner.__code__.co_names
    return next(name for name in names if name != "list")


def llama_cpp_calls() -> list[tuple[Case, str, Callable[[Any], Any]]]:
    """Return backend, method and call for all that llama.cpp's server has."""
    return [
        (case, name_of(call), call)
        for case in CASES
        for call in case.calls
        if name_of(call) in LLAMA_CPP.get(case.name, "").split()
    ]


BUCKET = "shelf"
TEXT = b"alpha"


def _url_works(api: Any, folder: Path) -> bool:
    import requests

    return requests.get(api.presigned_url(BUCKET, "texts/a.txt"), timeout=10).content == TEXT


def _downloads_stream(api: Any, folder: Path) -> bool:
    stream = io.BytesIO()
    api.download_stream(BUCKET, "texts/a.txt", stream)
    return stream.getvalue() == TEXT


def _downloads_file(api: Any, folder: Path) -> bool:
    api.download_file(BUCKET, "texts/a.txt", folder / "down.txt")
    return (folder / "down.txt").read_bytes() == TEXT


def _then(call: Callable[[Any, Path], Any], key: str, there: bool = True) -> Callable[[Any, Path], bool]:
    """Return a function that makes a call, and tells whether the object is there after it, or gone."""

    def both(api: Any, folder: Path) -> bool:
        call(api, folder)
        return (key in api.list_keys(BUCKET)) is there

    return both


S3: dict[str, Callable[[Any, Path], bool]] = {
    "upload_file": _then(lambda api, at: api.upload_file(at / "b.txt", BUCKET, "up/b.txt"), "up/b.txt"),
    "upload_stream": _then(lambda api, at: api.upload_stream(io.BytesIO(b"s"), BUCKET, "up/s"), "up/s"),
    "upload_bytes": _then(lambda api, at: api.upload_bytes(b"x", BUCKET, "up/x"), "up/x"),
    "upload_folder": _then(lambda api, at: api.upload_folder(at, BUCKET, "all"), "all/b.txt"),
    "download_file": _downloads_file,
    "download_stream": _downloads_stream,
    "download_bytes": lambda api, at: api.download_bytes(BUCKET, "texts/a.txt") == TEXT,
    "download_folder": lambda api, at: len(api.download_folder(BUCKET, "texts", at / "down")) == 1,
    "presigned_url": _url_works,
    "head": lambda api, at: api.head(BUCKET, "texts/a.txt")["ContentLength"] == len(TEXT),
    "exists": lambda api, at: (api.exists(BUCKET, "texts/a.txt"), api.exists(BUCKET, "no")) == (True, False),
    "list_buckets": lambda api, at: BUCKET in api.list_buckets(),
    "list_objects": lambda api, at: [o["Size"] for o in api.list_objects(BUCKET, "texts/")] == [len(TEXT)],
    "list_keys": lambda api, at: api.list_keys(BUCKET, "texts/") == ["texts/a.txt"],
    "copy_file": _then(lambda api, at: api.copy_file(BUCKET, "texts/a.txt", BUCKET, "copy.txt"), "copy.txt"),
    "copy_folder": _then(lambda api, at: api.copy_folder(BUCKET, "texts", BUCKET, "new"), "new/a.txt"),
    "delete_file": _then(lambda api, at: api.delete_file(BUCKET, "texts/a.txt"), "texts/a.txt", False),
    "delete_folder": _then(lambda api, at: api.delete_folder(BUCKET, "texts"), "texts/a.txt", False),
}
"""A call of each method of `s3_kit`; it returns whether the outcome is right. `texts/a.txt` is there, and `b.txt` in the folder."""

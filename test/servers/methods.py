"""Which methods the real servers have. scripts/servers_table makes the table of docs/servers.md of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..backends.cases import CASES, Call, Case

_CHAT = "chat stream_chat"
_TEXT = f"{_CHAT} complete stream_complete"
_RESPONSES = "respond stream_response"
_AUDIO = "transcribe translate speak"
_FILES = "upload_file list_files get_file download_file delete_file create_batch list_batches get_batch cancel_batch"
SERVERS: dict[str, dict[str, str]] = {
    "llama.cpp": {
        "openai_api": f"{_TEXT} {_RESPONSES} count_tokens embed list_models",
        "claude": f"{_CHAT} count_tokens list_models",
        "groq": f"{_CHAT} embed list_models",
        "hf_tgi": f"{_TEXT} list_models health",
        "hf_tei": "openai_embed rerank health",
        "llvm": f"{_TEXT} {_RESPONSES} embed rerank tokenize list_models model_info",
        "opea": "embed",
    },
    "litellm": {
        "openai_api": f"{_TEXT} {_RESPONSES} count_tokens embed list_models model_info",
        "claude": f"{_CHAT} count_tokens list_models model_info",
        "groq": f"{_CHAT} list_models",
        "gemini": f"{_CHAT} interact stream_interaction count_tokens",
        "hf_tei": "openai_embed",
        "llvm": f"{_TEXT} {_RESPONSES} embed list_models model_info",
    },
    "aimock": {
        "openai_api": f"{_CHAT} {_RESPONSES} embed moderate {_AUDIO} draw edit_image {_FILES} list_models",
        "claude": _CHAT,
        "groq": f"{_CHAT} embed {_AUDIO} {_FILES} list_models",
        "gemini": f"{_CHAT} interact stream_interaction",
        "ollama": f"{_TEXT} list_models",
        "llvm": f"{_CHAT} {_RESPONSES} embed list_models",
    },
    "MLServer": {"ovms": "infer model_metadata model_ready server_live server_ready"},
    "oai2ollama": {"ollama": "list_models show version"},
}
"""The methods of each backend that the servers of others have."""

PATHS = {
    ("llama.cpp", "groq"): "/v1",
    ("litellm", "groq"): "/v1",
    ("litellm", "gemini"): "/v1beta",
    ("aimock", "gemini"): "/v1beta",
}
"""What the base URL ends in, where it is not the vendor's."""

OF_WHAT_IS_MADE: dict[str, Call] = {
    "get_file": lambda api: api.get_file(_file(api)),
    "download_file": lambda api: api.download_file(_file(api)),
    "delete_file": lambda api: api.delete_file(_file(api)) is None,
    "list_files": lambda api: _file(api) and api.list_files(),
    "get_batch": lambda api: api.get_batch(_batch(api)),
    "cancel_batch": lambda api: api.cancel_batch(_batch(api)),
    "list_batches": lambda api: _batch(api) and api.list_batches(),
}
"""Calls that first make what they ask for: two requests each."""

_OWN_CALLS: dict[tuple[str, str], dict[str, Call]] = {
    ("aimock", "openai_api"): OF_WHAT_IS_MADE,
    ("aimock", "groq"): OF_WHAT_IS_MADE,
    # aimock streams unless told not to; Google's reference says that false is the default.
    ("aimock", "gemini"): {
        "interact": lambda api: api.interact("gemini-3.8-flash", "Hello there", stream=False)
    },
}
"""The calls that must be other ones than in `CASES`."""


def _file(api: Any) -> str:
    """Upload a file; return the name that the server gave it."""
    name: str = api.upload_file("in.jsonl", b"{}", purpose="batch")["id"]
    return name


def _batch(api: Any) -> str:
    """Create a batch; return the name that the server gave it."""
    name: str = api.create_batch("file-1", endpoint="/v1/chat/completions")["id"]
    return name


def name_of(call: Call) -> str:
    """Return the name of the method that one of the calls of `CASES` is about."""
    inner = call.__defaults__[0] if call.__defaults__ else call
    names: tuple[str, ...] = inner.__code__.co_names
    return next(name for name in names if name != "list")


def calls(server: str) -> list[tuple[Case, str, Call]]:
    """Return backend, method and call for all that `server` has."""
    found = []
    for case in CASES:
        names = SERVERS[server].get(case.name, "").split()
        own = _OWN_CALLS.get((server, case.name), {})
        found += [
            (case, name_of(call), own.get(name_of(call), call))
            for call in case.calls
            if name_of(call) in names
        ]
    return found


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

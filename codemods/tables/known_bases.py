"""What is known of the base classes that libraries offer: which of the names that a block defines they use themselves.

A base that is not here is out of sight. Longer names go before shorter ones: `logging.Handler` before `logging`.
"""

from __future__ import annotations

import builtins
import sys

_ROWS = """
abc collections contextlib dataclasses enum functools numbers typing typing_extensions:
asyncio asyncore asynchat http io multiprocessing selectors smtplib socket socketserver sqlite3 ssl telnetlib tempfile: close
concurrent.futures: submit
concurrent.futures.Executor concurrent.futures.ThreadPoolExecutor concurrent.futures.ProcessPoolExecutor: submit
logging.Handler logging.StreamHandler logging.FileHandler: close
shelve mmap zipfile tarfile gzip bz2 lzma codecs: close
urllib.request: close

requests.adapters.HTTPAdapter: max_retries close
requests requests_cache requests_oauthlib cloudscraper requests_toolbelt: close
httpx httpx2 aiohttp aiohttp_retry curl_cffi urllib3: close
openai anthropic groq together cohere: max_retries close
mistralai google.genai google.generativeai ollama huggingface_hub: close
boto3 botocore: close
tenacity backoff stamina:

pydantic pydantic_settings sqlmodel msgspec attr attrs marshmallow:
langchain langchain_core langchain_community langchain_openai: max_retries
llama_index llama_index_core: max_retries
django rest_framework flask fastapi starlette quart sanic tornado:
celery: max_retries priority
airflow: max_retry_delay
scrapy: close
torch tensorflow keras sklearn numpy pandas:
discord telegram aiogram: close
homeassistant: 
PyQt5 PyQt6 PySide2 PySide6: close
zope injector punq:
"""
_NAMES = {
    name: frozenset(used.split())
    for row in _ROWS.strip().splitlines()
    if row
    for names, _, used in [row.partition(":")]
    for name in names.split()
}


def names_of(base: str) -> frozenset[str] | None:
    """Return which names of the blocks a library's base class uses; None if that is not known.

    Args:
        base: dotted name: `requests.adapters.HTTPAdapter`, `Exception`; `?Base` if it cannot be followed.
    """
    base = base.removesuffix("()")
    last = base.lstrip("?")
    if "." not in last and isinstance(getattr(builtins, last, None), type):
        return frozenset()
    parts = base.split(".")
    for stop in range(len(parts), 0, -1):
        found = _NAMES.get(".".join(parts[:stop]))
        if found is not None:
            return found
    return frozenset() if parts[0] in sys.stdlib_module_names else None

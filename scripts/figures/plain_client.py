"""An API client as people write them. `retrofit.py` runs the codemod over it; the result is what is measured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import requests


class Client:
    """Makes its requests through a session of requests, a client of httpx, or the module functions of requests."""

    def __init__(
        self, session: requests.Session | None = None, client: httpx.AsyncClient | None = None
    ) -> None:
        self.session: requests.Session = session or requests.Session()
        self.client: httpx.AsyncClient = client or httpx.AsyncClient()

    def get(self, url: Any, **options: Any) -> Any:
        return self.session.get(url, **options)

    async def aget(self, url: Any, **options: Any) -> Any:
        return await self.client.get(url, **options)

    def post(self, url: str, **options: Any) -> Any:
        return requests.post(url, **options)

    async def astream(self, url: str) -> AsyncIterator[bytes]:
        async with self.client.stream("GET", url) as response:
            response.raise_for_status()
            async for part in response.aiter_bytes():
                yield part

"""A class as the codemod makes it, with the settings of a shared limit."""

from __future__ import annotations

from typing import Any

from backend_retrofit_runtime import RequestEngine
from test.runtime.api import Api


class SharedApi(Api):
    shared_queue = RequestEngine.setting(None)
    shared_account = RequestEngine.setting(None)
    shared_lease = RequestEngine.setting(15)
    shared_timeout = RequestEngine.setting(1)
    shared_fallback = RequestEngine.setting("share")
    shared_fairness = RequestEngine.setting("fifo")

    def __init__(self, base_url: str = "http://127.0.0.1:1", **settings: Any) -> None:
        self.base_url = base_url
        super().__init__(**settings)

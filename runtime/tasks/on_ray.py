"""`submit` on Ray (https://docs.ray.io)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from .travel import Serves, by_path, factories, message_of, run


class RayQueue:
    """A `submit_to` on the workers of a Ray cluster, `ray.init` having been called.

    Args:
        serves: classes that workers serve; as a mapping, with what makes an instance: a function that can be imported,
            or "module:function". None: whichever class is submitted, as this program says itself what workers run.
        options: of Ray's `remote`, such as `num_cpus`.

    Ray's retries are off, as the backend has its own.

    Raises:
        TypeError: if a class, or what makes an instance, cannot be imported by a worker.
    """

    def __init__(self, serves: Serves | None = None, **options: Any) -> None:
        ray: Any = import_module("ray")
        makers = None if serves is None else by_path(factories(serves))

        def request(path: str, name: str, args: Any, kwargs: Any) -> Any:
            return run({path: path} if makers is None else makers, path, name, args, kwargs)

        self._request: Any = ray.remote(**{"num_cpus": 0.1, **options, "max_retries": 0})(request)

    def submit(self, owner: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
        """Send a call; return its future. An error comes as a `RayTaskError` that is one of its own type, too.

        Raises:
            TypeError: if it cannot travel.
        """
        future: Future[Any] = self._request.remote(*message_of(owner, call, args, kwargs)).future()
        return future

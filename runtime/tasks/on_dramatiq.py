"""`submit` on Dramatiq (https://dramatiq.io)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from .travel import NAME, Serves, factories, message_of, run
from .waiter import Waiter


class DramatiqQueue:
    """A `submit_to` on the workers of a Dramatiq broker. It needs the `Results` middleware.

    Args:
        broker: the workers make the same queue on theirs when they import it.
        serves: classes that workers serve; as a mapping, with what makes an instance, or "module:function".
        queue: of the broker.

    Dramatiq's retries are off, as the backend has its own. It brings its messages back when a worker is killed: then
    a request may be sent twice.
    """

    def __init__(self, broker: Any, serves: Serves = (), queue: str = "default") -> None:
        dramatiq, results = import_module("dramatiq"), import_module("dramatiq.results")
        if not any(isinstance(middleware, results.Results) for middleware in broker.middleware):
            raise ValueError("the Dramatiq broker has no Results middleware, so nobody could return results")
        served = factories(serves)
        self._missing = results.ResultMissing
        self._waiter = Waiter()

        def request(path: str, name: str, args: Any, kwargs: Any) -> Any:
            return run(served, path, name, args, kwargs)

        self._actor: Any = dramatiq.actor(
            request, actor_name=NAME.replace(".", "_"), queue_name=queue, broker=broker, max_retries=0, store_results=True
        )  # fmt: skip

    def submit(self, owner: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
        """Send a call; return its future. An error comes as Dramatiq's `ResultFailure`, with its type and text.

        Raises:
            TypeError: if it cannot travel.
        """
        message = self._actor.send(*message_of(owner, call, args, kwargs))

        def ask() -> tuple[Any, BaseException | None] | None:
            try:
                return message.get_result(block=False), None
            except self._missing:
                return None
            except Exception as error:
                return None, error

        return self._waiter.future(ask, lambda: None)

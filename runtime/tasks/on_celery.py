"""`submit` on Celery 5 (https://docs.celeryq.dev)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .travel import NAME, Serves, factories, message_of, run
from .waiter import Waiter


class CeleryQueue:
    """A `submit_to` on the workers of a Celery application. It needs a result backend.

    Args:
        app: the application; the workers make the same queue when they import it.
        serves: classes that workers serve; as a mapping, with what makes an instance, or "module:function".
        queue: of the broker; None: Celery's own.

    Celery's retries are off, as the backend has its own, and a message is taken from the broker before the request is
    made: a worker that is lost does not make another send it again.
    """

    def __init__(self, app: Any, serves: Serves = (), queue: str | None = None) -> None:
        if type(app.backend).__name__ == "DisabledBackend":
            raise ValueError("the Celery application has no result backend, so nobody could return results")
        served = factories(serves)
        self._options = {"serializer": "json", "retry": False, **({"queue": queue} if queue else {})}
        self._waiter = Waiter()

        def request(path: str, name: str, args: Any, kwargs: Any) -> Any:
            return run(served, path, name, args, kwargs)

        self._task = app.task(
            request, name=NAME, serializer="json", max_retries=0, acks_late=False, ignore_result=False
        )

    def submit(self, owner: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
        """Send a call; return its future. Celery gives back the error itself where it can be imported.

        Raises:
            TypeError: if it cannot travel.
        """
        result = self._task.apply_async(args=message_of(owner, call, args, kwargs), **self._options)

        def ask() -> tuple[Any, BaseException | None] | None:
            if not result.ready():
                return None
            value, failed = result.result, not result.successful()
            result.forget()
            return (None, value) if failed else (value, None)

        return self._waiter.future(ask, result.revoke)

"""Request queue, exponential backoff and environment keys for API client classes.

A class that was given its blocks calls `self._queued(function)(...)` where it called `function(...)` before.
Everything behind that is in here, which needs nothing but the standard library (and reads `.env` files where
python-dotenv is installed).

The life of a request: it takes a slot (`Gate.enter`) or a ticket (`Gate.join`); each attempt runs while it holds
a slot; while it backs off it holds none and keeps its slot's number, hence its place in line. A request made from
within another runs under the other's slot.
"""

import os

from .async_streams import HeldAsyncStream, HeldStreamOfBoth
from .closers import Closing
from .engine import RequestEngine, engines
from .errors import CircuitOpen, QueueClosed, QueueError, RequestQueueFull, RequestTimeout
from .keys import ApiKey
from .members import Context, methods, views
from .module_queue import for_module
from .settings import EntryPoint, Setting, engine_of
from .streams import HELD_STREAMS
from .vendors import aiohttp, botocore, by_argument, genai, grpc, httpx, requests, retrying, sdk, urllib3  # noqa: F401
from .workers import alarm

__all__ = ["CircuitOpen", "QueueClosed", "QueueError", "RequestEngine", "RequestQueueFull", "RequestTimeout"]

_KNOWN_AS = "RequestEngine"  # another name where the runtime is inside a file that has one of its own

# What a module uses of those that come after it, it is given here.
HELD_STREAMS[False, True] = HeldAsyncStream
HELD_STREAMS[True, True] = HeldStreamOfBoth
RequestEngine.setting = Setting
RequestEngine.api_key = ApiKey
RequestEngine.entry_point = EntryPoint
RequestEngine.of = staticmethod(engine_of)
RequestEngine.views = staticmethod(views)
RequestEngine.methods = staticmethod(methods)
RequestEngine.context = Context()
RequestEngine.closing = Closing()
RequestEngine.for_module = staticmethod(for_module)
RequestEngine.QueueFull = RequestQueueFull

# So that they are caught, shown and pickled under a name that can be reached, wherever the runtime is.
for _error in (QueueError, RequestQueueFull, RequestTimeout, QueueClosed, CircuitOpen):
    setattr(RequestEngine, _error.__name__, _error)
    _error.__module__, _error.__qualname__ = __name__, f"{_KNOWN_AS}.{_error.__name__}"


def _after_fork_in_child() -> None:
    """Give the child fresh locks and empty queues: the threads that held and filled the old ones are gone."""
    alarm.reset()
    for engine in list(engines.values()):
        engine.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

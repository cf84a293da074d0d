"""What closes the queue of an instance: a `close` of ours, or one of the class's own or inherited, put together with it."""

import sys
from collections.abc import Callable
from functools import wraps
from inspect import unwrap
from typing import Any, overload

from .call_kinds import COROUTINE, kind_of
from .engine import CallT, engines


class Closing:
    """What `RequestEngine.closing` is."""

    @overload
    def __call__(self) -> Any: ...
    @overload
    def __call__(self, function: CallT) -> CallT: ...
    def __call__(self, function: Any = None) -> Any:
        """Return a `close` (`__exit__`, `aclose`, `__del__`, ...) for a class, which first fails the requests that wait.

        Args:
            function: the class's own, which is called then; without it, what the class inherits, if anything. It may
                make requests, such as that for logging out, and an instance that could be used after it still can.
        """
        return InheritedCloser() if function is None else closing_first(function)


def closing_first(function: Any) -> Any:
    """Return a function that fails the requests that wait, and then calls the class's own.

    An async one does not wait for the threads. `__del__`, which may run inside any function, takes no locks; it is the last
    that makes a request.
    """
    if kind_of(function) is COROUTINE:

        @wraps(function)
        async def close_queue_then_await(self: Any, *args: Any, **kwargs: Any) -> Any:
            _close_queue(self, join=False, reopen=True, name=function.__name__)
            return await function(self, *args, **kwargs)

        return close_queue_then_await

    @wraps(function)
    def close_queue_then(self: Any, *args: Any, **kwargs: Any) -> Any:
        if function.__name__ != "__del__":
            _close_queue(self, reopen=True, name=function.__name__)
            return function(self, *args, **kwargs)
        try:
            return function(self, *args, **kwargs)
        finally:
            if (engine := engines.get(id(self))) is not None:
                engine.gate.refuse_newcomers()

    return close_queue_then


def _close_queue(instance: Any, join: bool = True, reopen: bool = False, name: str = "") -> None:
    """Close the queue of an instance, if it has one.

    Args:
        reopen: its class has a method of its own for it, after which it may be used still.
        name: the name of that method.
    """
    if (engine := engines.get(id(instance))) is not None:
        engine.close(join, reopen, reopen and (name in _LEAVING or _is_left(instance)))


_LEAVING = ("__exit__", "__aexit__")


def _is_left(instance: Any) -> bool:
    """Return True within the `__exit__` of the instance's own class, which calls its `close` mostly.

    One thread that leaves `with` says nothing of the others that share the instance, as a call of `close` does.
    """
    frame: Any = sys._getframe(2)
    for _ in range(10):
        if frame is None:
            break
        code = frame.f_code
        if code.co_name in _LEAVING and code.co_argcount:
            return frame.f_locals.get(code.co_varnames[0]) is instance
        frame = frame.f_back
    return False


class InheritedCloser(property):
    """Becomes, in its class, a function that closes the queue, or calls what is inherited under its name once nobody waits."""

    attribute = "close"

    def __reduce__(self) -> Any:
        return type(self), (), {"attribute": self.attribute}

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

        def close(self: Any, *args: Any, **kwargs: Any) -> Any:
            """Fail the waiting requests, let the running ones end, and join the queue's threads."""
            inherited = _overridden(self, name, close)
            _close_queue(self, kind_of(inherited) is not COROUTINE, reopen=inherited is not None)
            return None if inherited is None else inherited(*args, **kwargs)

        close.__name__, close.__qualname__ = name, f"{owner.__qualname__}.{name}"
        setattr(owner, name, close)


def _overridden(instance: Any, name: str, function: Callable[..., Any]) -> Any:
    """Return the bound method that comes after `function` among those of a name; None if there is none.

    The class is looked for, because a decorator may have made another one of that which was told its name.
    """
    classes = type(instance).__mro__
    own = [cls for cls in classes if unwrap(vars(cls).get(name, 0)) is function]
    return getattr(super(own[0], instance), name, None) if own else None

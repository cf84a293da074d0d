"""What travels to a worker, and what it makes of it there.

There: the import path of a class, the name of a public method, plain arguments. Back: a plain result. Never an
instance, hence no key, session or setting: the worker makes an instance of its own, from its own environment.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

Make = Callable[[], Any] | str
"""What makes an instance: a function, or where it can be imported from, "module:function"."""
Serves = Iterable[type] | Mapping[type, Make]
"""Classes that a worker serves; as a mapping, with what makes an instance of each."""
NAME = "backend_retrofit.request"
"""Of the task at the engine."""
_PLAIN = (str, int, float, bool, type(None))
# Path of a class -> the instance of this process.
_instances: dict[str, Any] = {}
_lock = threading.Lock()


def message_of(owner: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> list[Any]:
    """Return what is sent for `call(*args, **kwargs)`: path, method, arguments, named arguments.

    Raises:
        TypeError: if it cannot travel; it says why.
    """
    name = getattr(call, "__name__", "")
    if owner is None or getattr(call, "__self__", None) is not owner:
        raise TypeError("only a method of the instance itself can be submitted to other machines")
    path = path_of(type(owner))
    _check_method(type(owner), name)
    _check_plain(args, "arguments")
    _check_plain(kwargs, "arguments")
    return [path, name, list(args), dict(kwargs)]


def path_of(thing: Any) -> str:
    """Return "module:name", by which a worker can import a class or a function."""
    module, name = getattr(thing, "__module__", ""), getattr(thing, "__qualname__", repr(thing))
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if module == "__main__" or found is not thing:
        raise TypeError(f"{name} cannot be imported by a worker: move it to a module of its own")
    return f"{module}:{name}"


def _check_method(cls: type, name: str) -> None:
    function = inspect.getattr_static(cls, name, None)
    if name.startswith("_") or name == "close" or not isinstance(function, FunctionType):
        raise TypeError(f"{name!r} is not a public method of {cls.__name__}, which other machines could call")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name} gives a stream, which cannot travel: call it in this process")


def _check_plain(value: Any, what: str, depth: int = 0) -> None:
    """Raise TypeError if JSON would not give back the same."""
    if depth > 100:
        raise TypeError(f"the {what} are nested too deeply")
    kind = type(value)
    if kind is dict and all(type(key) is str for key in value):
        inner = value.values()
    elif kind is list or (kind is tuple and depth == 0):
        inner = value
    elif kind in _PLAIN:
        return
    else:
        raise TypeError(
            f"the {what} hold {kind.__name__}, which cannot travel: "
            "plain ones are None, bool, int, float, str, list, and dict with str as keys"
        )
    for one in inner:
        _check_plain(one, what, depth + 1)


def factories(serves: Serves) -> dict[str, Make]:
    """Return path -> what makes an instance, of the classes that a worker serves."""
    items = serves.items() if isinstance(serves, Mapping) else ((cls, cls) for cls in serves)
    return {path_of(cls): make for cls, make in items}


def by_path(made_by: Mapping[str, Make]) -> dict[str, str]:
    """Return the same with import paths only, which hold nothing of this process.

    Raises:
        TypeError: if what makes an instance cannot be imported.
    """
    return {path: make if isinstance(make, str) else path_of(make) for path, make in made_by.items()}


def run(served: Mapping[str, Make], path: str, name: str, args: Any, kwargs: Any) -> Any:
    """Make the call, in the worker, with the instance that this process has of the class.

    Raises:
        PermissionError: if the worker does not serve the class, or the method is not public.
        TypeError: if the result cannot travel.
    """
    if path not in served:
        raise PermissionError(f"this worker does not serve {path}")
    with _lock:
        if path not in _instances:
            make = served[path]
            _instances[path] = (_imported(make) if isinstance(make, str) else make)()
        instance = _instances[path]
    try:
        _check_method(type(instance), name)
    except TypeError as error:
        raise PermissionError(str(error)) from None
    result = getattr(instance, name)(*args, **kwargs)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    _check_plain(result, "results")
    return result


def _imported(path: str) -> Any:
    """Return what "module:name" names."""
    module, _, name = path.partition(":")
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value

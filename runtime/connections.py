"""Kept connections for functions that make a session for each call; only where `reuse_connections` asks for it.

Sessions and clients that the user's code makes keep their connections themselves, and are not touched.
"""

import contextlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

from .probing import attribute, twin_of

# What an environment variable of these says, httpx reads when a client is made.
_CLIENT_VARIABLES = tuple(
    variable
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
    for variable in (name, name.lower())
)

_MOST_KEPT = 16


class Connections:
    """Keeps the connections of `requests.get`, `httpx.post` and similar functions, which make a session for each call.

    Such a function is copied, with the same code, over names of its module in which the session's class gives a twin of
    one that is kept: with the same connections, and without cookies. So arguments, results and errors are the same.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: OrderedDict[Any, _Kept] = (
            OrderedDict()
        )  # the one that was used last is the last; under `lock`
        self.copies: dict[Any, Any] = {}

    def through(self, call: Any) -> Any:
        """Return `call` over kept connections; or as it is, where it is another function or was replaced (mocked)."""
        function = attribute(call, "__wrapped__") or call  # httpx.stream is a context manager's function
        names = attribute(function, "__globals__")
        module = names.get("__name__") if type(function) is FunctionType and type(names) is dict else None
        if module not in ("requests.api", "httpx._api", "httpx2._api"):
            return call
        request = names["request"]
        session = names["sessions"].Session if module == "requests.api" else names["Client"]
        if type(request) is not FunctionType or not isinstance(session, type):
            return call
        key = (call, request, session)
        if key not in self.copies:
            names = dict(names)
            if module == "requests.api":
                names["sessions"] = _Names(Session=partial(self._requests_session, session))
            else:
                names["Client"] = partial(self._httpx_client, session)
            names["request"] = _copy_of(request, names)
            copy = _copy_of(function, names)
            self.copies[key] = copy if function is call else contextlib.contextmanager(copy)
        return self.copies[key]

    def _requests_session(self, session_class: Any) -> Any:
        def make() -> Any:
            session = session_class()
            for prefix, adapter in list(session.adapters.items()):
                session.mount(prefix, type(adapter)(pool_maxsize=100))
            return session

        kept = self._take(session_class, make)
        return _Use(self, kept, twin_of(kept.client, cookies=type(kept.client.cookies)()))

    def _httpx_client(
        self, client_class: Any, cookies: Any = None, timeout: Any = None, **options: Any
    ) -> Any:
        variables = tuple(map(os.environ.get, _CLIENT_VARIABLES)) if options.get("trust_env", True) else ()
        key = (client_class, variables, *options.items())
        try:
            hash(key)
        except TypeError:  # an option that cannot be a key: a separate client, as without us
            return client_class(cookies=cookies, timeout=timeout, **options)

        def make() -> Any:
            module = sys.modules[client_class.__module__.partition(".")[0]]  # httpx, or its fork httpx2
            limits = module.Limits(max_connections=None, max_keepalive_connections=100)
            return client_class(limits=limits, **options)

        kept = self._take(key, make)
        twin = twin_of(kept.client)
        twin.cookies, twin.timeout = cookies, timeout
        return _Use(self, kept, twin)

    def _take(self, key: Any, make: Callable[[], Any]) -> "_Kept":
        """Return the client that is kept for a key, in use from now on."""
        with self.lock:
            kept = self.kept.get(key)
            if kept is not None:
                kept.uses += 1
                self.kept.move_to_end(key)
                return kept
        made = _Kept(make())
        with self.lock:
            kept = self.kept.setdefault(key, made)
            kept.uses += 1
            surplus = self._surplus()
        for one in surplus if kept is made else (made, *surplus):
            one.client.close()
        return kept

    def give_back(self, kept: "_Kept") -> None:
        """End a use of a client; one that was kept for longer than others, and is used no more, is closed."""
        with self.lock:
            kept.uses -= 1
            surplus = self._surplus()
        for one in surplus:
            one.client.close()

    def _surplus(self) -> "list[_Kept]":
        """Take out what is kept beyond the limit, as far as it is not in use: an SSL context for each call makes as many."""
        found = []
        for key, kept in list(self.kept.items()) if len(self.kept) > _MOST_KEPT else ():
            if len(self.kept) > _MOST_KEPT and not kept.uses:
                found.append(self.kept.pop(key))
        return found

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        with self.lock:
            kept, self.kept = list(self.kept.values()), OrderedDict()
        for one in kept:
            one.client.close()


class _Kept:
    """A session of requests or a client of httpx, and how many requests are using it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.uses = 0


class _Use:
    """What stands for a new session in `with`: a twin of one that is kept, which is not closed at the end."""

    def __init__(self, connections: Connections, kept: _Kept, twin: Any) -> None:
        self.connections, self.kept, self.twin = connections, kept, twin

    def __enter__(self) -> Any:
        return self.twin

    def __exit__(self, *exc: object) -> None:
        self.connections.give_back(self.kept)


class _Names:
    """An object with the given attributes."""

    def __init__(self, **names: Any) -> None:
        self.__dict__.update(names)


def _copy_of(function: Any, names: dict[str, Any]) -> Any:
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy

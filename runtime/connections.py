"""Kept connections for functions that make a session for each call; only where `reuse_connections` asks for it.

Sessions and clients that the user's code makes keep their connections themselves, and are not touched.
"""

import contextlib
import os
import sys
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


class Connections:
    """Keeps the connections of `requests.get`, `httpx.post` and their kin, which make a session for each call.

    Such a function is copied, with the same code, over names of its module in which the session's class gives a twin of
    one that is kept: with the same connections, and without cookies. So arguments, results and errors are the same.
    """

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}
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
        kept = self.kept.get(session_class)
        if kept is None:
            session = session_class()
            for prefix, adapter in list(session.adapters.items()):
                session.mount(prefix, type(adapter)(pool_maxsize=100))
            kept = self.kept.setdefault(session_class, session)
        return contextlib.nullcontext(twin_of(kept, cookies=type(kept.cookies)()))

    def _httpx_client(
        self, client_class: Any, cookies: Any = None, timeout: Any = None, **options: Any
    ) -> Any:
        variables = tuple(map(os.environ.get, _CLIENT_VARIABLES)) if options.get("trust_env", True) else ()
        key = (client_class, variables, *options.items())
        try:
            kept = self.kept.get(key)
        except TypeError:  # an option that is no key: a client of its own, as without us
            return client_class(cookies=cookies, timeout=timeout, **options)
        if kept is None:
            module = sys.modules[client_class.__module__.partition(".")[0]]  # httpx, or its fork httpx2
            limits = module.Limits(max_connections=None, max_keepalive_connections=100)
            kept = self.kept.setdefault(key, client_class(limits=limits, **options))
        twin = twin_of(kept)
        twin.cookies, twin.timeout = cookies, timeout
        return contextlib.nullcontext(twin)

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        kept, self.kept = list(self.kept.values()), {}
        for session in kept:
            session.close()


class _Names:
    """An object with the given attributes."""

    def __init__(self, **names: Any) -> None:
        self.__dict__.update(names)


def _copy_of(function: Any, names: dict[str, Any]) -> Any:
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy

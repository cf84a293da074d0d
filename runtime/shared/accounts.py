"""Which account an instance belongs to, and the one client that this process has for each."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..rates import COUNTED_BY
from .client import Client
from .machine import MachineServer
from .messages import Rate, Terms
from .redis_server import RedisServer
from .servers import Server
from .source import SharedLimit

if TYPE_CHECKING:
    from ..engine import RequestEngine

_KEYS = ("api_key", "_api_key", "key", "token")
_URLS = ("base_url", "_base_url", "api_base", "endpoint", "url", "host")

# Server and account -> its client.
_clients: dict[tuple[str, str], Client] = {}
_lock = threading.RLock()


def share_limit(engine: RequestEngine, server: str) -> None:
    """Let an engine share its limit, or no longer. `RequestEngine.configure` calls it.

    Args:
        server: the URL of a server, "machine", or "" for nothing.
    """
    settings, source = engine.settings, engine.gate.source
    where = (server, settings["shared_account"])
    if not server:
        engine.gate.share(None)
    elif not isinstance(source, SharedLimit) or source.where != where:
        find = partial(_find_client, weakref.proxy(engine), *where)
        engine.gate.share(SharedLimit(find, engine.gate, where))
    elif source.found is not None:
        source.found.change(_terms_of(settings))


def _terms_of(settings: dict[str, Any]) -> Terms:
    fairness = settings["shared_fairness"]
    return Terms(
        limit=settings["max_concurrent_requests"],
        rates=_rates_of(settings),
        lease=settings["shared_lease"],
        timeout=settings["shared_timeout"],
        fallback=settings["shared_fallback"],
        flow={"fifo": "", "process": "process"}.get(fairness, "t" + _hash(fairness)),
    )


_ALONE = {"requests_per_day": "counts", "adaptive_concurrency": "adapts"}
"""Settings that each process sees to by itself, and what they do there."""


def _tell_what_is_not_shared(engine: RequestEngine) -> None:
    for setting, does in _ALONE.items():
        if engine.settings[setting]:
            engine.logger.warning("%s %s for each process: the shared queue does not share it", setting, does)


def _rates_of(settings: dict[str, Any]) -> tuple[Rate, ...]:
    """Return the rates that all processes have together, but for those at the end that are not set."""
    rates, learns = [], settings["tokens_per_minute"] == "auto"
    for setting in COUNTED_BY:
        per_minute = settings[setting]
        if per_minute == "auto" or (
            per_minute is None and learns and setting.endswith("put_tokens_per_minute")
        ):
            rates.append(Rate(-1.0))
        elif per_minute is None:
            rates.append(Rate())
        else:
            rates.append(Rate(60 / per_minute, float(settings["rate_burst"])))
    while rates and not rates[-1].interval:
        rates.pop()
    return tuple(rates)


def _find_client(engine: RequestEngine, server: str, name: str | None) -> Client:
    """Return this process's client of an engine's account."""
    account = _account_of(engine, name)
    terms = _terms_of(engine.settings)
    with _lock:
        client = _clients.get((server, account))
        for place, other in list(_clients.items()):
            if other.closing:
                del _clients[place]
        if client is not None and not client.closing:
            client.change(terms)
            return client
        made: Server
        if server == "machine":
            made = MachineServer(account, terms.timeout)
        else:
            made = RedisServer(server, account, terms.timeout)
        client = _clients[server, account] = Client(made, terms, engine.logger)
        _tell_what_is_not_shared(engine)
        return client


def _account_of(engine: RequestEngine, name: str | None) -> str:
    """Return a hash that says whose limit it is: the name that was given, else the API's host and the key."""
    if name is not None:
        return _hash("name", name)
    owner = engine.reference()
    values = getattr(owner, "__dict__", {})
    host = next((found for url in _URLS if (found := _host(values.get(url)))), "")
    key = next((found for found in map(partial(_key, owner), _KEYS) if found), "")
    return _hash("key", host or engine.label, _hash(key))


def _key(owner: Any, attribute: str) -> str:
    """Return a key of the owner's: one that is stored, or that our own property finds; no other property is asked."""
    values = getattr(owner, "__dict__", {})
    found = values.get(attribute)
    if hasattr(getattr(type(owner), attribute, None), "metadata_names"):  # an `ApiKey`
        with contextlib.suppress(ValueError):
            found = getattr(owner, attribute)
    return found if isinstance(found, str) else ""


def _host(url: Any) -> str:
    try:
        return urlsplit(str(url)).hostname or ""
    except ValueError:
        return ""


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(("request-queue", *parts)).encode()).hexdigest()[:40]


def _end() -> None:
    for client in list(_clients.values()):
        client.end()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for client in list(_clients.values()):
        client.after_fork()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

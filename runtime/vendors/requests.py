"""requests: the retries of a session's adapters, and responses that are read in parts."""

import contextlib
from functools import partial, wraps
from typing import Any

from ..bodies import hold_body
from ..call_kinds import is_retry_policy
from ..parts import any_retries, sends_again
from ..probing import attribute, ends_within_headers, has_method, status_in, twin_of
from ..slots import Slot
from ..vendor import VENDORS, Handling, Prepared, Vendor


def _requests_handling(call: Any, owner: Any) -> "Handling | None":
    """A requests.Session: a copy of it, with the same connections. Where its owner wrote a policy, that one retries."""
    adapters = attribute(owner, "adapters")
    if not isinstance(adapters, dict):
        return None
    kept = [_keeps_its_retries(adapter) for adapter in adapters.values()]
    if all(kept):
        return Handling(call, retry=False)
    without = {prefix: _without_retry(adapter) for prefix, adapter in adapters.items()}
    if any(without[prefix] is not adapter for prefix, adapter in adapters.items()):
        call = _with_adapters(call, owner, type(adapters)(without))
    return Handling(call, prepare=partial(_by_url, owner) if any(kept) else None)


def _with_adapters(call: Any, session: Any, adapters: Any) -> Any:
    """Return a method of a session that is called on a copy with other adapters; what it notes on itself is noted on the session."""
    function = attribute(call, "__func__")

    @wraps(call)
    def call_once(*args: Any, **kwargs: Any) -> Any:
        twin = twin_of(session, adapters=adapters)
        before = dict(vars(twin))
        # Bound to the twin: what `super().request` means is not what the twin's own `request` is.
        method = getattr(twin, call.__name__) if function is None else function.__get__(twin)
        try:
            return method(*args, **kwargs)
        finally:
            for name, value in vars(twin).items():
                if before.get(name, vars) is not value:
                    setattr(session, name, value)

    return call_once


def _by_url(session: Any, call: Any, args: Any, kwargs: Any) -> Prepared:
    """Let the adapter for the request's URL decide, where a session has several."""
    places = [kwargs.get("url"), *args[:2], *(attribute(arg, "url") for arg in args[:1])]
    url = next((str(place) for place in places if "://" in str(place)), "")
    retry = True
    with contextlib.suppress(Exception):  # no adapter for it: let the session say so
        retry = not _keeps_its_retries(session.get_adapter(url))
    return Prepared(call, args, kwargs, retry)


def _keeps_its_retries(adapter: Any) -> bool:
    """Return True for an adapter with a policy of its owner's, and one that sends more than once by itself."""
    return (
        is_retry_policy(attribute(adapter, "max_retries")) or _sends_by_sdk(adapter) or any_retries([adapter])
    )


def _sends_by_sdk(adapter: Any) -> bool:
    """Return True for an adapter of somebody's own that sends through a client which retries by itself."""
    if attribute(adapter, "max_retries") is not None:
        return False
    held = vars(adapter).values() if hasattr(adapter, "__dict__") else ()
    return any(
        has_method(thing, "with_options") or attribute(thing, "_endpoint") is not None for thing in held
    )


def _without_retry(adapter: Any) -> Any:
    """Return an adapter of requests as it is, or one without urllib3's `Retry`, on the same connections."""
    retry = attribute(adapter, "max_retries")
    total = attribute(retry, "total")
    is_a_count = isinstance(total, int) or (total is None and has_method(retry, "is_exhausted"))
    if total == 0 or not is_a_count or is_retry_policy(retry):
        return adapter
    none = twin_of(retry, total=0, connect=None, read=False, status=None, other=None)
    return twin_of(adapter, max_retries=none)


def _is_unread_by_requests(result: Any) -> bool:
    return attribute(result, "_content_consumed") is False


def _hold_requests(result: Any, slot: Slot) -> bool:
    return status_in(result) is not None and hold_body(result, "raw", "_content_consumed", slot)


def _is_cut_of_requests(result: Any) -> bool:
    method = attribute(attribute(result, "request"), "method")
    return ends_within_headers(attribute(result, "raw"), attribute(result, "_content"), method)


def _sent_again_by_hook(result: Any) -> bool:
    """Return True where a hook of the session, or of the request, has seen the response, and sends again what failed."""
    hooks = attribute(attribute(result, "request"), "hooks")
    after = hooks.get("response") if type(hooks) is dict else None
    return isinstance(after, list) and any(sends_again(hook) for hook in after)


VENDORS.append(
    Vendor(
        "requests",
        is_stream=_is_unread_by_requests,
        hold=_hold_requests,
        handling=_requests_handling,
        owned=("adapters",),
        is_cut=_is_cut_of_requests,
        sent_again=_sent_again_by_hook,
    )
)

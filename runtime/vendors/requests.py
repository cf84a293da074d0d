"""requests: the retries of a session's adapters, and responses that are read in parts."""

from typing import TYPE_CHECKING, Any

from ..probing import attribute, has_method, status_in, twin_of
from ..slots import Slot
from ..streams import hold_body
from ..vendor import VENDORS, Vendor

if TYPE_CHECKING:
    from ..engine import RequestEngine


def _requests_once(call: Any, owner: Any, engine: "RequestEngine") -> Any:
    """A requests.Session: a copy of it, with the same connections."""
    adapters = attribute(owner, "adapters")
    if not isinstance(adapters, dict):
        return None
    without = {prefix: _without_retry(adapter) for prefix, adapter in adapters.items()}
    if all(without[prefix] is adapter for prefix, adapter in adapters.items()):
        return call
    twin = twin_of(owner, adapters=type(adapters)(without))
    # Bound to the twin: what `super().request` means is not what the twin's own `request` is.
    function = attribute(call, "__func__")
    return getattr(twin, call.__name__) if function is None else function.__get__(twin)


def _without_retry(adapter: Any) -> Any:
    """Return an adapter of requests as it is, or one without urllib3's `Retry`, on the same connections."""
    retry = attribute(adapter, "max_retries")
    total = attribute(retry, "total")
    if total == 0 or not (isinstance(total, int) or (total is None and has_method(retry, "is_exhausted"))):
        return adapter
    # A copy, since a class derived from `Retry` may be made in another way.
    none = twin_of(
        retry, total=0, connect=None, read=False, status=None, other=None, status_forcelist=frozenset()
    )
    return twin_of(adapter, max_retries=none)


def _is_unread_by_requests(result: Any) -> bool:
    return attribute(result, "_content_consumed") is False


def _hold_requests(result: Any, slot: Slot) -> bool:
    return status_in(result) is not None and hold_body(result, "raw", "_content_consumed", slot)


VENDORS.append(Vendor("requests", is_stream=_is_unread_by_requests, hold=_hold_requests, once=_requests_once))

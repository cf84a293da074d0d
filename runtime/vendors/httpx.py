"""httpx, its fork httpx2, and the responses of httpx inside those of SDKs."""

from collections.abc import Mapping
from typing import Any

from ..bodies import hold_body
from ..probing import attribute, status_in, twin_of
from ..slots import Slot
from ..vendor import VENDORS, Handling, Vendor


def _is_httpx(client: Any) -> bool:
    """Return True for a client of httpx or its fork, whose transport retries only connecting, and only if asked to."""
    return any(cls.__module__.partition(".")[0] in ("httpx", "httpx2") for cls in type(client).__mro__)


def _httpx_handling(call: Any, owner: Any) -> "Handling | None":
    """A client of httpx whose transports connect more than once: a copy of it, with the same connections."""
    if not _is_httpx(owner):
        return None
    transports = {"": attribute(owner, "_transport"), **(attribute(owner, "_mounts") or {})}
    without = {key: _without_reconnecting(transport) for key, transport in transports.items()}
    if all(without[key] is transport for key, transport in transports.items()):
        return Handling(call)
    return Handling(getattr(twin_of(owner, _transport=without.pop(""), _mounts=without), call.__name__))


def _without_reconnecting(transport: Any) -> Any:
    pool = attribute(transport, "_pool")
    retries = attribute(pool, "_retries")
    if not isinstance(retries, int) or not retries:
        return transport
    return twin_of(transport, _pool=twin_of(pool, _retries=0))


def _is_unread_by_httpx(result: Any) -> bool:
    if attribute(result, "is_stream_consumed") is False:
        return True
    inner = attribute(result, "http_response")  # of the SDKs' `with_raw_response`
    return inner is not None and attribute(inner, "is_stream_consumed") is False


def _hold_httpx(result: Any, slot: Slot) -> bool:
    if status_in(result) is None:
        return False
    responses = (result, attribute(result, "http_response"))
    return any(hold_body(response, "stream", "is_closed", slot) for response in responses)


def _was_kept_by_httpx(names: Mapping[str, Any]) -> bool:
    """Return True in httpcore's `HTTP11Connection` if this was not its first request."""
    connection = names.get("self")
    if type(connection).__module__.partition(".")[0] not in ("httpcore", "httpcore2"):
        return False
    count = attribute(connection, "_request_count")
    return isinstance(count, int) and count > 1


VENDORS.append(
    Vendor(
        "httpx",
        is_stream=_is_unread_by_httpx,
        hold=_hold_httpx,
        handling=_httpx_handling,
        was_kept=_was_kept_by_httpx,
    )
)

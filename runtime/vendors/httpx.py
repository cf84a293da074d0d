"""httpx, its fork httpx2, and the responses of httpx inside those of SDKs."""

from collections.abc import Mapping
from typing import Any

from ..bodies import hold_body
from ..failures import failure_in_result
from ..parts import client_retries, is_of_library
from ..probing import attribute, status_in, twin_of
from ..slots import Slot
from ..vendor import AS_IT_IS, VENDORS, Handling, Vendor

_NAMES = ("httpx", "httpx2")


def _is_httpx(client: Any) -> bool:
    """Return True for a client of httpx or its fork, whose transport retries only connecting, and only if asked to."""
    for cls in type(client).__mro__:
        if cls.__module__ in _NAMES or cls.__module__.partition(".")[0] in _NAMES:
            return True
    return False


def _httpx_handling(call: Any, owner: Any) -> "Handling | None":
    """A client of httpx whose transports connect more than once: a copy of it, with the same connections."""
    if not _is_httpx(owner):
        return None
    if _is_as_made(owner):
        return AS_IT_IS
    if client_retries(owner):
        return Handling(call, retry=False)
    transport, mounts = attribute(owner, "_transport"), attribute(owner, "_mounts")
    if not _reconnects(transport) and not (mounts and any(map(_reconnects, mounts.values()))):
        return AS_IT_IS
    mounts = {pattern: _without_reconnecting(other) for pattern, other in (mounts or {}).items()}
    twin = twin_of(owner, _transport=_without_reconnecting(transport), _mounts=mounts)
    return Handling(getattr(twin, call.__name__))


def _is_as_made(client: Any) -> bool:
    """Return True, quickly, for the usual client: with httpx's own transport, and no retries of its connections."""
    try:
        transport = client._transport
        return is_of_library(transport) and not client._mounts and transport._pool._retries == 0
    except Exception:  # as in `attribute`
        return False


def _reconnects(transport: Any) -> bool:
    retries = attribute(attribute(transport, "_pool"), "_retries")
    return isinstance(retries, int) and retries != 0


def _without_reconnecting(transport: Any) -> Any:
    return (
        twin_of(transport, _pool=twin_of(transport._pool, _retries=0))
        if _reconnects(transport)
        else transport
    )


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


def _sent_again_by_auth(result: Any) -> bool:
    """Return True where the `auth_flow` of the client, or the request, has sent again what failed, not after a login alone."""
    before = attribute(result, "history")
    if not isinstance(before, list):
        return False
    failures = (failure_in_result(response) for response in before)
    return any(failure is not None and failure.retry for failure in failures)


VENDORS.append(
    Vendor(
        "httpx",
        is_stream=_is_unread_by_httpx,
        hold=_hold_httpx,
        handling=_httpx_handling,
        was_kept=_was_kept_by_httpx,
        sent_again=_sent_again_by_auth,
    )
)

"""aiohttp: its methods give something to be awaited or entered; a response keeps its slot until its connection is released."""

import math
from collections.abc import Mapping
from typing import Any

from ..parts import any_retries
from ..probing import attribute, has_method
from ..slots import Slot
from ..vendor import VENDORS, Handling, Vendor


def _aiohttp_connection(result: Any) -> Any:
    """Return what a response of aiohttp reads from; None where its body came with the headers, or it is something else."""
    if not type(result).__module__.startswith("aiohttp."):
        return None
    connection = attribute(result, "connection")
    return connection if has_method(connection, "add_callback") else None


def _is_unread_by_aiohttp(result: Any) -> bool:
    return type(result).__module__.startswith("aiohttp.") and _aiohttp_connection(result) is not None


def _hold_aiohttp(result: Any, slot: Slot) -> bool:
    connection = _aiohttp_connection(result)
    if connection is None:
        return False
    slot.used_at = math.inf  # when it is read is not known
    connection.add_callback(slot.abandon)  # a response may be released by the collector
    return True


def _awaits_in_aiohttp(call: Any, owner: type) -> bool:
    return owner.__module__.partition(".")[0] == "aiohttp"


def _was_kept_by_aiohttp(names: Mapping[str, Any]) -> bool:
    """Return True in `ClientSession._request` for what aiohttp itself does not send again: it does so with all but POST and PATCH.

    Nothing tells whether the connection had answered before. It is taken for granted there, as aiohttp takes it.
    """
    if type(names.get("self")).__module__ != "aiohttp.client" or "retry_persistent_connection" not in names:
        return False
    return str(names.get("method")).upper() in ("POST", "PATCH")


def _aiohttp_handling(call: Any, owner: Any) -> "Handling | None":
    """A session of aiohttp, one of whose middlewares may retry by itself."""
    if not _awaits_in_aiohttp(call, type(owner)):
        return None
    return Handling(call, retry=not any_retries(attribute(owner, "_middlewares") or ()))


VENDORS.append(
    Vendor(
        "aiohttp",
        handling=_aiohttp_handling,
        is_stream=_is_unread_by_aiohttp,
        hold=_hold_aiohttp,
        awaits=_awaits_in_aiohttp,
        was_kept=_was_kept_by_aiohttp,
    )
)

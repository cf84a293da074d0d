"""gRPC: failures by code, answers that come as a stream, calls of grpc.aio."""

import re
from typing import Any

from ..failures import Failure, is_final
from ..parts import any_retries
from ..probing import attribute
from ..vendor import VENDORS, Handling, Vendor

# gRPC's codes as statuses (google/rpc/code.proto), and what its UNAVAILABLE says where no server has answered.
_GRPC_STATUSES = {"UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429}
_GRPC_LOST = re.compile(
    "socket closed|connection reset|broken pipe|stream removed|watchdog|goaway|cancelling all calls",
    re.IGNORECASE,
)


def _failure_in_grpc(error: Any, name: str) -> "Failure | None":
    """Return the failure that an `RpcError` stands for. Its `code()` waits for a call that runs: only ask what was raised."""
    if all(cls.__name__ != "RpcError" for cls in type(error).__mro__):
        return None
    try:
        code, details = error.code().name, str(error.details())
        headers = {name.lower(): value for name, value in error.trailing_metadata() or ()}
    except Exception:
        return None
    why = f"{type(error).__name__} ({code})"
    if code == "DEADLINE_EXCEEDED" or (code == "UNAVAILABLE" and _GRPC_LOST.search(details)):
        return Failure(why, True)
    status = _GRPC_STATUSES.get(code)
    if status is None:
        return Failure(why, False)
    retry = not is_final(headers, {"message": details})
    return Failure(why, retry, status, headers, None, "failed to connect" in details.lower())


def _is_stream_of_grpc(result: Any) -> bool:
    """Return True for the answers of a gRPC method that streams them. A mock's class has no such methods."""
    return hasattr(type(result), "__next__") and hasattr(type(result), "trailing_metadata")


def _grpc_handling(call: Any, owner: Any) -> "Handling | None":
    """A method of a channel whose interceptors may retry by themselves."""
    if not type(call).__module__.startswith("grpc."):
        return None
    parts = [attribute(call, "_interceptor"), *(attribute(call, "_interceptors") or ())]
    cells = attribute(attribute(call, "_thunk"), "__closure__") or ()
    held = (attribute(cell, "cell_contents") for cell in cells)
    channel = next((thing for thing in held if attribute(thing, "_interceptor") is not None), None)
    while channel is not None and len(parts) < 20:  # each is around the next
        parts.append(attribute(channel, "_interceptor"))
        channel = attribute(channel, "_channel")
    return Handling(call, retry=not any_retries(parts))


def _awaits_in_grpc(call: Any, owner: type) -> bool:
    return type(call).__module__.startswith("grpc.aio")


VENDORS.append(
    Vendor(
        "grpc",
        failure=_failure_in_grpc,
        is_stream=_is_stream_of_grpc,
        handling=_grpc_handling,
        awaits=_awaits_in_grpc,
    )
)

"""botocore (boto3, aiobotocore): failures in dicts, bodies and event streams in dicts, retries in a handler.

After each attempt a client asks the handlers of its events whether to make another one. A call of ours goes through a
copy of the client that tells them that the attempt was the last. The client itself is neither changed nor remembered.
"""

import contextlib
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from functools import wraps
from types import MethodType
from typing import Any

from ..bodies import HeldBody
from ..failures import RAISED_WITHOUT_CAUSE, Failure, failure_by_status, is_cut, is_final
from ..probing import (
    ANSWER_KEYS,
    PLAIN_TYPES,
    attribute,
    ends_within_headers,
    has_method,
    is_coroutine_function,
    twin_of,
)
from ..repeating import is_harmless
from ..slots import Slot, current_slot
from ..vendor import VENDORS, Handling, Prepared, Vendor

# What botocore itself would have retried, whatever the status: DynamoDB's come with a 400.
_AWS_RETRIED_NAMES = """
    SlowDown RequestTimeout RequestTimeoutException Throttling ThrottlingException
    ThrottledException RequestThrottled RequestThrottledException RequestLimitExceeded TooManyRequestsException
    ProvisionedThroughputExceededException BandwidthLimitExceeded EC2ThrottledException
    ServiceUnavailable InternalError PriorRequestNotComplete TransactionInProgressException
"""
_AWS_RETRIED = frozenset(_AWS_RETRIED_NAMES.split())
# The modules of methods that send a file in parts, wait for something, go through pages, or through a collection.
_AWS_SEVERAL = re.compile(
    r"boto3\.s3\.(inject|transfer)|aioboto3\.s3\.inject|s3transfer\.|(aio)?boto(core|3)\.(waiter|paginate)|"
    r"aiobotocore\.(waiter|paginate)|(aio)?boto3\.resources\.collection|(aio)?boto3\.dynamodb\.table"
)
_READ_TYPES = PLAIN_TYPES | {dict}
_CLIENT_MODULES = frozenset({"botocore.client", "aiobotocore.client"})
_AWS_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_AWS_MAKES = re.compile(r"create_|start_|send_|publish_")
_AWS_READS = re.compile(
    r"query|scan|select_|batch_(get|write)_|lookup_|filter_|detect_|recognize_|analyze_|compare_|check_|validate_|verify"
    r"|simulate_|estimate_|assume_role|encrypt|decrypt|sign$"
)


def _failure_in_botocore(thing: Any, name: str) -> "Failure | None":
    """Return what an answer says, or the one that a ClientError has."""
    response = thing if type(thing) is dict else attribute(thing, "response")
    metadata = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    if not isinstance(metadata, Mapping):
        return None
    error = response.get("Error")
    code, message = (error.get("Code"), error.get("Message")) if isinstance(error, Mapping) else (None, None)
    status = metadata.get("HTTPStatusCode")
    headers = metadata.get("HTTPHeaders")
    if isinstance(code, str) and code in _AWS_RETRIED:
        retry = not is_final(headers, {"message": message})  # Bedrock: "Too many tokens per day"
        return Failure(f"{name} ({code})" if name else code, retry, status, headers)
    if isinstance(status, int) and status >= 400:
        return failure_by_status(status, headers, None, name)
    return None


def _body_of_botocore(result: Any) -> Any:
    """Return the body or the stream of events in an answer of botocore, which is still to be read."""
    if type(result) is not dict or "ResponseMetadata" not in result:
        return None
    return next(
        (value for value in result.values() if has_method(attribute(value, "_raw_stream"), "read")), None
    )


def _is_settled_of_botocore(result: dict[str, Any]) -> bool:
    """Return True, quickly, for an answer that is a good one, and read."""
    metadata, slot = result["ResponseMetadata"], current_slot.get()
    if type(metadata) is not dict or "Error" in result or (slot is not None and slot.is_cut):
        return False
    status = metadata.get("HTTPStatusCode")
    if type(status) is not int or status >= 300:
        return False
    return all(type(value) in _READ_TYPES or not hasattr(value, "_raw_stream") for value in result.values())


def _is_unread_by_botocore(result: Any) -> bool:
    return type(result) is dict and _body_of_botocore(result) is not None


def _hold_botocore(result: Any, slot: Slot) -> bool:
    body = _body_of_botocore(result)
    if body is None:
        return False
    body._raw_stream = HeldBody(body._raw_stream, slot)
    return True


class _LastAttempt:
    """The events of a client whose retry handlers are told that this attempt is the last one.

    Whatever else listens for `needs-retry` goes on to be heard: S3's redirections to the region of a bucket are made there.
    """

    def __init__(self, events: Any) -> None:
        self._events = events
        self.over = False  # what was made of the call's result goes on as the client itself would

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)

    def emit(self, event_name: str, **kwargs: Any) -> Any:
        """Emit an event."""
        if event_name.startswith("needs-retry.") and not self.over:
            kwargs["attempts"] = sys.maxsize
            if (
                kwargs.get("response") is not None
            ):  # a copy, or the error would say how many retries were not made
                http, parsed = kwargs["response"]
                _note_cut(http)
                kwargs["response"] = (
                    http,
                    {**parsed, "ResponseMetadata": {**parsed.get("ResponseMetadata", {})}},
                )
        return self._events.emit(event_name, **kwargs)


def _note_cut(http: Any) -> None:
    """Note where an answer ended within its headers: what is made of it does not show that."""
    slot = current_slot.get()
    if slot is not None:
        raw = attribute(http, "raw")
        with contextlib.suppress(Exception):  # of somebody's own session
            slot.is_cut = is_cut(raw) or ends_within_headers(raw, attribute(http, "_content"))


def _botocore_handling(call: Any, owner: Any) -> "Handling | None":
    """The same method of a copy of the client or resource, of which no handler repeats an attempt."""
    function = attribute(call, "__func__")
    module = attribute(function, "__module__")
    is_operation = module in _CLIENT_MODULES
    if not is_operation and (_AWS_SEVERAL.match(str(module)) or _is_waiter(call)):
        return Handling(call, retry=False)
    client = _client_of(owner)
    if function is None or client is None:
        return None
    if client.meta.config.retries.get("mode") == "adaptive":  # it paces the requests, too
        return Handling(call, retry=False)
    if client is not owner:
        return Handling(_once_of_resource(call, owner, client))
    once = MethodType(function, _with_events(client, _LastAttempt(client._endpoint._event_emitter)))
    operation = _operation_of(client, call.__name__)
    if call.__name__ == "_make_api_call" or _token_members(client, operation):
        return Handling(once, prepare=_with_token)
    return Handling(once)


def _is_waiter(call: Any) -> bool:
    """Return True for `bucket.wait_until_exists`, whose function is made by the factory of all resources."""
    return str(attribute(call, "__name__")).startswith("wait_until_") and has_method(
        attribute(attribute(attribute(call, "__self__"), "meta"), "client"), "get_waiter"
    )


def _client_of(owner: Any) -> Any:
    """Return the client that a method's object is, or that a resource has; None for anything that is not this library's."""
    client = (
        owner if attribute(owner, "_endpoint") is not None else attribute(attribute(owner, "meta"), "client")
    )
    is_one = type(client).__module__.startswith(("botocore.", "aiobotocore."))
    return client if is_one and attribute(client, "_endpoint") is not None else None


def _with_events(client: Any, events: Any) -> Any:
    return twin_of(client, _endpoint=twin_of(client._endpoint, _event_emitter=events))


def _once_of_resource(call: Any, owner: Any, client: Any) -> Any:
    """Return a resource's method that is called on a copy of it; what it notes on itself is noted on the resource."""

    @contextlib.contextmanager
    def copied() -> Iterator[Any]:
        events = _LastAttempt(client._endpoint._event_emitter)
        meta = twin_of(owner.meta, client=_with_events(client, events))
        try:
            yield twin_of(owner, meta=meta)
        finally:
            owner.meta.data = meta.data
            events.over = True

    @wraps(call)
    def call_once(*args: Any, **kwargs: Any) -> Any:
        with copied() as twin:
            return call.__func__(twin, *args, **kwargs)

    @wraps(call)
    async def await_once(*args: Any, **kwargs: Any) -> Any:
        with copied() as twin:
            return await call.__func__(twin, *args, **kwargs)

    return await_once if is_coroutine_function(call) else call_once


def _operation_of(client: Any, method: str) -> Any:
    return client.meta.method_to_api_mapping.get(method)


def _token_members(client: Any, operation: Any) -> Any:
    """Return the names of the parameters that botocore fills in with a token, made for each call."""
    return (
        () if operation is None else client.meta.service_model.operation_model(operation).idempotent_members
    )


def _with_token(call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Prepared:
    """Fill in the token now, so that all attempts carry the same: the service knows the second for a repetition."""
    client = call.__self__
    if call.__name__ == "_make_api_call":
        operation, params = (*args, *kwargs.values())
        return Prepared(call, (operation, {**_tokens(client, operation), **params}), {})
    return Prepared(call, args, {**_tokens(client, _operation_of(client, call.__name__)), **kwargs})


def _tokens(client: Any, operation: str) -> dict[str, str]:
    return {name: str(uuid.uuid4()) for name in _token_members(client, operation)}


def _botocore_repeatable(call: Any, owner: Any, args: Any, kwargs: Any) -> "bool | None":
    client = _client_of(owner)
    if client is None:
        return None
    if client is not owner:
        return True if call.__name__ == "copy_from" else None  # of a resource: CopyObject, UploadPartCopy
    operation, params = _operation_of(client, call.__name__), kwargs
    if call.__name__ == "_make_api_call":
        operation, params = args
    if operation is None:
        return None
    if not params.keys().isdisjoint(_token_members(client, operation)):
        return True
    method = client.meta.service_model.operation_model(operation).http.get("method")
    if method in _AWS_IDEMPOTENT and not _AWS_MAKES.match(call.__name__):
        return True
    return bool(_AWS_READS.match(call.__name__) or is_harmless(type(client), call.__name__))


def _awaits_in_aiobotocore(call: Any, owner: type) -> bool:
    return owner.__module__.partition(".")[0] == "aiobotocore"


ANSWER_KEYS["ResponseMetadata"] = _is_settled_of_botocore
RAISED_WITHOUT_CAUSE.add("S3UploadFailedError")
VENDORS.append(
    Vendor(
        "botocore",
        failure=_failure_in_botocore,
        is_stream=_is_unread_by_botocore,
        hold=_hold_botocore,
        handling=_botocore_handling,
        owned=("_endpoint", "meta"),
        repeatable=_botocore_repeatable,
        awaits=_awaits_in_aiobotocore,
    )
)

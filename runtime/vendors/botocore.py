"""botocore (boto3, aiobotocore): failures in dicts, bodies and event streams in dicts, retries in a handler."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..failures import RAISED_WITHOUT_CAUSE, Failure, failure_by_status, is_final
from ..probing import ANSWER_KEYS, attribute, has_method
from ..slots import Slot
from ..streams import HeldBody
from ..vendor import VENDORS, Vendor

if TYPE_CHECKING:
    from ..engine import RequestEngine

# What botocore itself would have retried, whatever the status: DynamoDB's come with a 400.
_AWS_RETRIED_NAMES = """
    SlowDown RequestTimeout RequestTimeoutException Throttling ThrottlingException
    ThrottledException RequestThrottled RequestThrottledException RequestLimitExceeded TooManyRequestsException
    ProvisionedThroughputExceededException BandwidthLimitExceeded EC2ThrottledException
    ServiceUnavailable InternalError PriorRequestNotComplete TransactionInProgressException
"""
_AWS_RETRIED = frozenset(_AWS_RETRIED_NAMES.split())


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


def _is_unread_by_botocore(result: Any) -> bool:
    return _body_of_botocore(result) is not None


def _hold_botocore(result: Any, slot: Slot) -> bool:
    body = _body_of_botocore(result)
    if body is None:
        return False
    body._raw_stream = HeldBody(body._raw_stream, slot)
    return True


def _botocore_once(call: Any, owner: Any, engine: "RequestEngine") -> Any:
    """A client of botocore: its handler is taken out."""
    meta = attribute(owner, "meta")
    meta = attribute(attribute(meta, "client"), "meta") or meta  # a resource of boto3
    if meta is None or attribute(attribute(meta, "service_model"), "service_name") is None:
        return None
    service = meta.service_model.service_id.hyphenize()
    meta.events.unregister(f"needs-retry.{service}", unique_id=f"retry-config-{service}")
    return call


def _awaits_in_aiobotocore(call: Any, owner: type) -> bool:
    return owner.__module__.partition(".")[0] == "aiobotocore"


ANSWER_KEYS.add("ResponseMetadata")
RAISED_WITHOUT_CAUSE.add("S3UploadFailedError")
VENDORS.append(
    Vendor(
        "botocore",
        failure=_failure_in_botocore,
        is_stream=_is_unread_by_botocore,
        hold=_hold_botocore,
        once=_botocore_once,
        awaits=_awaits_in_aiobotocore,
    )
)

"""The SDKs of OpenAI, Anthropic, Groq, Together, which one generator makes."""

from typing import TYPE_CHECKING, Any

from ..failures import Failure, failure_by_status
from ..probing import attribute, has_method
from ..vendor import VENDORS, Vendor

if TYPE_CHECKING:
    from ..engine import RequestEngine

# Error events of Anthropic's and OpenAI's streams: docs.anthropic.com/en/api/errors, platform.openai.com/docs/guides/error-codes.
_STREAM_ERRORS = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "server_error": 500}


def _failure_in_stream(error: Any, name: str) -> "Failure | None":
    """Return what an error event says, which comes inside a stream whose own status is 200."""
    body = attribute(error, "body")
    inner = body.get("error", body) if isinstance(body, dict) else None
    word = inner.get("type") if isinstance(inner, dict) else None
    status = _STREAM_ERRORS.get(word) if isinstance(word, str) else None
    return None if status is None else failure_by_status(status, None, body, name)


def _sdk_once(call: Any, owner: Any, engine: "RequestEngine") -> Any:
    """OpenAI, Anthropic, Groq, Together: the same method of a client with other options, on the same connections."""
    client = owner if has_method(owner, "with_options") else attribute(owner, "_client")
    if client is None or not attribute(client, "max_retries") or not has_method(client, "with_options"):
        return None
    client_without = client.with_options(max_retries=0)
    owner_without = client_without if client is owner else type(owner)(client_without)
    for view in ("with_raw_response", "with_streaming_response"):
        method = attribute(attribute(owner, view), call.__name__)
        if method is not None and attribute(method, "__code__") is attribute(call, "__code__"):
            return getattr(getattr(owner_without, view), call.__name__)
    return getattr(owner_without, call.__name__)


VENDORS.append(Vendor("openai, anthropic, groq, together", failure=_failure_in_stream, once=_sdk_once))

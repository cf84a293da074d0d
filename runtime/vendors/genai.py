"""google-genai: its retries are a loop of tenacity's in its client."""

import sys
from typing import TYPE_CHECKING, Any

from ..probing import attribute
from ..vendor import VENDORS, Vendor

if TYPE_CHECKING:
    from ..engine import RequestEngine


def _genai_once(call: Any, owner: Any, engine: "RequestEngine") -> Any:
    """google-genai: its client makes one attempt from now on."""
    client = attribute(attribute(owner, "_modules") or owner, "_api_client")  # of a chat, of another resource
    loops = (attribute(client, "_retry"), attribute(client, "_async_retry"))
    if any(type(loop).__module__.partition(".")[0] != "tenacity" for loop in loops):
        return None
    options = client._http_options
    if attribute(options.retry_options, "attempts") != 1:
        options.retry_options = sys.modules["google.genai.types"].HttpRetryOptions(attempts=1)
        for loop in loops:
            loop.stop = sys.modules["tenacity"].stop_after_attempt(1)
    return call


VENDORS.append(Vendor("google-genai", once=_genai_once))

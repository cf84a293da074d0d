"""urllib3, and `http.client` of the standard library, from which its responses and those of urllib are read."""

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from ..call_kinds import RETRYING_MODULES
from ..probing import attribute
from ..slots import Slot
from ..streams import HeldBody
from ..vendor import VENDORS, Vendor

if TYPE_CHECKING:
    from ..engine import RequestEngine


def _plain_response(result: Any) -> Any:
    """Return the unread `http.client.HTTPResponse` that `urlopen()` returns, or that is in a response of urllib3."""
    client = sys.modules.get("http.client")
    inner = attribute(result, "_original_response") or result
    is_unread = client is not None and isinstance(inner, client.HTTPResponse) and inner.fp is not None
    return inner if is_unread else None


def _urllib3_once(call: Any, owner: Any, engine: "RequestEngine") -> Any:
    """A PoolManager or HTTPConnectionPool, or `urllib3.request`: the same call, with redirects but no retries."""
    maker = call if owner is None else type(owner)
    if str(attribute(maker, "__module__")).partition(".")[0] != "urllib3":
        return None
    pool_options = attribute(owner, "connection_pool_kw")
    default = pool_options.get("retries") if pool_options is not None else attribute(owner, "retries")
    from urllib3.util.retry import Retry

    @wraps(call)
    def call_once(*args: Any, **kwargs: Any) -> Any:
        retry = kwargs.get("retries")
        retry = Retry.from_int(default if retry is None else retry)
        if retry.total is not False:
            redirects = retry.total if retry.redirect is None else retry.redirect
            retry = retry.new(
                total=None,
                connect=0,
                read=0,
                status=0,
                other=0,
                redirect=redirects,
                status_forcelist=frozenset(),
            )
        return call(*args, **{**kwargs, "retries": retry})

    return call_once


def _is_unread_by_http_client(result: Any) -> bool:
    return _plain_response(result) is not None


def _hold_http_client(result: Any, slot: Slot) -> bool:
    inner = _plain_response(result)
    if inner is None:
        return False
    inner.fp = HeldBody(inner.fp, slot)
    return True


RETRYING_MODULES.add("urllib3")
VENDORS.append(
    Vendor("urllib3", is_stream=_is_unread_by_http_client, hold=_hold_http_client, once=_urllib3_once)
)

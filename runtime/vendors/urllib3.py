"""urllib3, and `http.client` of the standard library, from which its responses and those of urllib are read."""

import sys
from collections.abc import Mapping
from typing import Any

from ..bodies import HeldBody
from ..call_kinds import RETRYING_MODULES, is_retry_policy
from ..probing import attribute, ends_within_headers
from ..slots import Slot
from ..vendor import VENDORS, Handling, Prepared, Vendor


def _plain_response(result: Any) -> Any:
    """Return the unread `http.client.HTTPResponse` that `urlopen()` returns, or that is in a response of urllib3."""
    client = sys.modules.get("http.client")
    inner = attribute(result, "_original_response")
    inner = result if inner is None else inner  # not asked whether it is true: a mock would note that
    is_unread = client is not None and isinstance(inner, client.HTTPResponse) and inner.fp is not None
    return inner if is_unread else None


def _urllib3_handling(call: Any, owner: Any) -> "Handling | None":
    """A PoolManager or HTTPConnectionPool, or `urllib3.request`: the same call, with redirects but no retries."""
    maker = call if owner is None else type(owner)
    if str(attribute(maker, "__module__")).partition(".")[0] != "urllib3":
        return None
    return Handling(call, prepare=_with_redirects_alone)


def _with_redirects_alone(call: Any, args: Any, kwargs: Any) -> Prepared:
    """Let only redirects be followed, unless the call or the pool was given a policy, rather than a count."""
    owner = attribute(call, "__self__")
    pool_options = attribute(owner, "connection_pool_kw")
    default = pool_options.get("retries") if pool_options is not None else attribute(owner, "retries")
    retry = kwargs.get("retries")
    retry = default if retry is None else retry
    if is_retry_policy(retry):
        return Prepared(call, args, kwargs, retry=False)
    retry = sys.modules["urllib3.util.retry"].Retry.from_int(retry)
    if retry.total is not False:
        redirects = retry.total if retry.redirect is None else retry.redirect
        retry = retry.new(total=None, connect=0, read=0, status=0, other=0, redirect=redirects)
    return Prepared(call, args, {**kwargs, "retries": retry})


def _is_unread_by_http_client(result: Any) -> bool:
    return _plain_response(result) is not None


def _hold_http_client(result: Any, slot: Slot) -> bool:
    inner = _plain_response(result)
    if inner is None:
        return False
    inner.fp = HeldBody(inner.fp, slot)
    return True


def _is_cut_of_urllib3(result: Any) -> bool:
    response = attribute(result, "raw")  # of requests, with `stream=True`
    response = result if response is None else response
    inner = _plain_response(response)
    if inner is not None:
        return ends_within_headers(inner, b"") and not inner.peek(1)
    method = attribute(attribute(response, "_original_response"), "_method")
    return ends_within_headers(response, attribute(response, "_body"), method)


def _was_kept_by_urllib3(names: Mapping[str, Any]) -> bool:
    """Return True in `HTTPConnectionPool.urlopen` if the pool has sent more requests than it has opened connections."""
    pool = names.get("self")
    if not any(cls.__module__.endswith("urllib3.connectionpool") for cls in type(pool).__mro__):
        return False
    sent, opened = attribute(pool, "num_requests"), attribute(pool, "num_connections")
    return isinstance(sent, int) and isinstance(opened, int) and sent > opened


RETRYING_MODULES.add("urllib3")
VENDORS.append(
    Vendor(
        "urllib3",
        is_stream=_is_unread_by_http_client,
        hold=_hold_http_client,
        handling=_urllib3_handling,
        is_cut=_is_cut_of_urllib3,
        was_kept=_was_kept_by_urllib3,
    )
)

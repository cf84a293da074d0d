"""The SDKs of OpenAI, Anthropic, Groq, Together, which one generator makes.

Their resources send through functions that they were given: `_post`, `_get` and so on. A call goes through a copy of its
resource, whose functions say `max_retries=0` with each request. The client itself is neither copied nor changed.
"""

import uuid
import weakref
from functools import partial, wraps
from types import CellType, FunctionType, MethodType
from typing import Any

from ..failures import Failure, failure_by_status
from ..parts import client_retries
from ..probing import attribute, has_method
from ..slots import current_slot
from ..vendor import AS_IT_IS, VENDORS, Handling, Prepared, Vendor

# Error events of Anthropic's and OpenAI's streams: docs.anthropic.com/en/api/errors, platform.openai.com/docs/guides/error-codes.
_STREAM_ERRORS = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "server_error": 500}
# Methods that make several requests, or call functions of the user's between them.
_POLL_NAMES = """
    create_and_poll create_and_run_poll poll submit_tool_outputs_and_poll upload_and_poll upload_file_chunked
    wait_for_processing tool_runner poller worker
"""
_POLLS = frozenset(_POLL_NAMES.split())
_NUMBERS = (int, float)
_ONE_ATTEMPT_OF_SDK = {"max_retries": 0}
# Class of a client -> the one that keeps the headers of its answers.
_HEARING: "weakref.WeakKeyDictionary[type, type]" = weakref.WeakKeyDictionary()
_SENDERS = ("_get", "_post", "_put", "_patch", "_delete")


def _failure_in_stream(error: Any, name: str) -> "Failure | None":
    """Return what an error event says, which comes inside a stream whose own status is 200."""
    body = attribute(error, "body")
    inner = body.get("error", body) if isinstance(body, dict) else None
    word = inner.get("type") if isinstance(inner, dict) else None
    status = _STREAM_ERRORS.get(word) if isinstance(word, str) else None
    return None if status is None else failure_by_status(status, None, body, name)


def _sdk_retries_status(call: Any, error: Any, status: int) -> bool:
    """Return True for 409 and 5xx, unless the owner allows no retries. Not for 501, which the next answer would be, too."""
    if all(cls.__name__ != "APIStatusError" for cls in type(error).__mro__):
        return False
    owner = attribute(call, "__self__") or attribute(attribute(call, "__wrapped__"), "__self__")
    count = attribute(attribute(owner, "_client") or owner, "max_retries")
    return count != 0 and (status == 409 or status > 501)


def _sdk_handling(call: Any, owner: Any) -> "Handling | None":
    """OpenAI, Anthropic, Groq, Together: the same method of a copy of its resource."""
    given = attribute(owner, "__dict__") or {}
    client: Any = given.get("_client")
    if "_post" not in given or not isinstance(attribute(client, "max_retries"), _NUMBERS):
        return _of_client(call, owner) if _is_client(owner) else None
    if call.__name__ in _POLLS or client_retries(attribute(client, "_client")):
        return Handling(call, retry=False)
    if attribute(client, "_idempotency_header"):
        return Handling(call, prepare=_with_key)
    if not client.max_retries:
        return AS_IT_IS
    return Handling(_once(call, owner, _ONE_ATTEMPT_OF_SDK))


def _with_key(call: Any, args: Any, kwargs: Any) -> Prepared:
    """Make the key by which the server knows a repetition, the same for all attempts of a request."""
    owner = attribute(call, "__self__") or call.__wrapped__.__self__
    options = {"idempotency_key": f"retrofit-{uuid.uuid4()}", **_ONE_ATTEMPT_OF_SDK}
    return Prepared(_once(call, owner, options), args, kwargs)


def _once(call: Any, owner: Any, options: dict[str, Any]) -> Any:
    """Return a method of a resource, or a function around one, as one of a copy that sends with these options.

    Raises:
        TypeError: as `_of_copy`.
    """
    given = owner.__dict__
    senders = {name: partial(_send_once, given[name], options) for name in _SENDERS if name in given}
    if "_get_api_list" in given:
        senders["_get_api_list"] = partial(_list_once, given["_get_api_list"], owner._client, options)
    return _of_copy(call, owner, senders)


def _of_copy(call: Any, owner: Any, senders: dict[str, Any]) -> Any:
    """Return a method of a resource, or a function around one, as one of a copy that sends through these functions.

    Raises:
        TypeError: it is not known where the function keeps the method.
    """
    given = owner.__dict__
    twin = object.__new__(type(owner))
    own = twin.__dict__
    own.update(given)
    own.update(senders)
    if type(call) is MethodType:
        return MethodType(call.__func__, twin)
    if call.__name__ not in given and type(again := getattr(twin, call.__name__)) is type(call):
        return again  # a wrapper that somebody has put into the class, as tools that trace do
    return _around(call, call.__wrapped__, MethodType(call.__wrapped__.__func__, twin))


def _heard_call(call: Any) -> Any:
    """Return a call that keeps the headers of its answer, whoever retries it; or the call as it was."""
    if isinstance(call, partial):
        return partial(_heard_call(call.func), *call.args, **call.keywords)
    owner = attribute(call, "__self__") or attribute(attribute(call, "__wrapped__"), "__self__")
    given = attribute(owner, "__dict__") or {}
    client = given.get("_client")
    if "_post" in given and _is_client(client):
        names = [name for name in _SENDERS if name in given]
        return _of_copy(call, owner, {name: _heard(given[name], client) for name in names})
    return _heard(call, owner) if _is_client(owner) and f"_{call.__name__}" in _SENDERS else call


def _heard(send: Any, client: Any) -> Any:
    """Return a client's function for sending, as one that keeps the headers of the answer, which its result does not show.

    It sends as an object of a subclass, which has its attributes in common with the client: what is changed there later
    holds here, and the client knows nothing of it.
    """
    cls = type(client)
    if (
        type(send) is not MethodType
        or send.__self__ is not client
        or not has_method(client, "_process_response")
    ):
        return send
    hearing = _HEARING.get(cls)
    if hearing is None:
        try:
            hearing = type(
                cls.__name__, (cls,), {"_process_response": _process_and_hear, "__del__": _end_in_silence}
            )
        except TypeError:  # it is not to be derived from
            return send
        _HEARING[cls] = hearing
    twin: Any = object.__new__(hearing)
    twin.__dict__ = client.__dict__
    return MethodType(send.__func__, twin)


def _process_and_hear(self: Any, *args: Any, **kwargs: Any) -> Any:
    slot = current_slot.get()
    if slot is not None:
        slot.headers = attribute(kwargs.get("response"), "headers")
    return super(type(self), self)._process_response(*args, **kwargs)


def _end_in_silence(self: Any) -> None:
    """Do not close what belongs to the client."""


def _send_once(send: Any, more: dict[str, Any], /, *args: Any, **kwargs: Any) -> Any:
    """Send a request as `send` does, with more options."""
    options = kwargs.get("options")
    kwargs["options"] = {**(options or {}), **more}
    return send(*args, **kwargs)


def _list_once(send: Any, client: Any, more: dict[str, Any], /, *args: Any, **kwargs: Any) -> Any:
    """Ask for the first page of a list once; later ones are retried as before."""
    retries = (kwargs.get("options") or {}).get("max_retries", client.max_retries)
    sent = _send_once(send, more, *args, **kwargs)
    if has_method(sent, "__await__"):
        sent._client = _FirstPage(sent, retries)
    else:
        _let_later_pages_be_retried(sent, retries)
    return sent


def _sdk_repeatable(call: Any, owner: Any, args: Any, kwargs: Any) -> "bool | None":
    return True if _is_client(client := attribute(owner, "_client")) and client._idempotency_header else None


def _is_client(thing: Any) -> bool:
    return isinstance(attribute(thing, "max_retries"), _NUMBERS) and has_method(thing, "get_api_list")


def _of_client(call: Any, client: Any) -> Handling:
    """Handle `client.post(...)` and its like, for what the SDK has no method for."""
    if f"_{call.__name__}" not in _SENDERS or not client.max_retries:
        return AS_IT_IS
    return Handling(wraps(call)(partial(_send_once, call, _ONE_ATTEMPT_OF_SDK)))


def _let_later_pages_be_retried(page: Any, retries: Any) -> None:
    """Give a page, or a response of which one is still to be made, the retries that its client has."""
    parse = attribute(page._options, "post_parser")
    if has_method(page, "get_next_page"):
        page._options.max_retries = retries
    elif callable(parse):

        def parse_page(parsed: Any) -> Any:
            page = parse(parsed)
            page._options.max_retries = retries
            return page

        page._options.post_parser = parse_page


class _FirstPage:
    """The client of an `AsyncPaginator`, until the first page has come."""

    def __init__(self, paginator: Any, retries: Any) -> None:
        self.paginator, self.client, self.retries = paginator, paginator._client, retries

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        """Ask for the first page; it remembers the client, and the later pages' retries."""
        page = await self.client.request(*args, **kwargs)
        self.paginator._client = self.client
        if has_method(page, "get_next_page"):
            page._client = self.client
        _let_later_pages_be_retried(page, self.retries)
        return page

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


def _around(wrapper: Any, wrapped: Any, instead: Any) -> Any:
    """Return a wrapper of a method, such as `with_raw_response` gives, around another method.

    Raises:
        TypeError: it is not known where the wrapper keeps what it wraps.
    """
    cells: tuple[CellType, ...] = attribute(wrapper, "__closure__") or ()
    held = [cell.cell_contents is wrapped for cell in cells]
    if type(wrapper) is not FunctionType or not any(held):
        raise TypeError("the SDK's method is inside another function")
    closure = tuple(CellType(instead) if is_it else cell for is_it, cell in zip(held, cells, strict=True))
    copy = FunctionType(
        wrapper.__code__, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, closure
    )
    copy.__kwdefaults__ = wrapper.__kwdefaults__
    copy.__dict__.update(wrapper.__dict__, __wrapped__=instead)
    return copy


VENDORS.append(
    Vendor(
        "openai, anthropic, groq, together",
        failure=_failure_in_stream,
        retries_status=_sdk_retries_status,
        handling=_sdk_handling,
        owned=("_client", "_post", "max_retries", "get_api_list"),
        hears=_heard_call,
        repeatable=_sdk_repeatable,
    )
)

"""May a request be sent twice? And can its body be?

Judged by method, path and the name of the function, since an answer that was lost may have been a success. Only asked
where it is not known that the request has not arrived.
"""

import re
from collections.abc import Mapping, Sequence, Set
from functools import partial
from io import BytesIO, StringIO
from typing import Any

from .probing import PLAIN_ARGUMENTS, attribute, has_method, header
from .vendor import VENDORS

_BODY_NAMES = frozenset(
    {"data", "content", "files", "file", "body", "Body", "Fileobj", "fileobj", "image", "audio"}
)
_CONTAINERS = frozenset({dict, list, tuple})
_INFERENCE = re.compile(
    r"chat|complet|embed|messages|generat|rerank|rank|predict|infer|classif|tokenize|moderat|responses|similarity"
    r"|transcri|translat|invoke|invocation|count_?tokens|tokens\.count|speech|\bocr\b|\bfim\b|agents\.stream"
    r"|converse|summari|images?[./]edit|\bscore\b|\bai/run/|search|\bquery\b"
    r"|interactions$|\bdecode$|\bretrieval$|\bapi/show$",
    re.IGNORECASE,
)
# What makes something that stays, or runs for long and is billed, though its name has a word of those above.
_MAKES = re.compile(
    r"batch(?!_?embed)|job|thread|upload|fine.?tun|video|long_?running|functions/|create_inference|\bstart_"
    r"|async_?invoke|invoke_?\w*async|\blambda\.invoke|cancel",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(
    r"get|head|options|list|retrieve|download|describe|put|delete|show|search|whoami|compute_tokens|\w+_info"
    r"|\w+_exists$|content$|results$|ps$",
    re.IGNORECASE,
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#\s]*)(\S*)", re.IGNORECASE)
# Names of functions that create something, where nothing else tells.
_CREATES = re.compile(
    r"(create|add|insert|send|submit|upload|publish|start|launch|order|buy|pay|charge|book|register|invite)(_|$)",
    re.IGNORECASE,
)
_CREATING = frozenset({"post", "patch"})
_HEADER_NAMES = ("headers", "extra_headers", "http_headers")
_SENDS_A_BODY = frozenset({"post", "put", "patch", "delete", "request", "stream", "urlopen"})
_TAKES_METHOD = frozenset({"request", "stream", "send", "urlopen", "open", "urlretrieve"})


def may_be_repeated(
    call: Any, args: Sequence[Any], kwargs: Mapping[str, Any], sent: "tuple[str, str] | None" = None
) -> "bool | None":
    """Return True if a request whose answer was lost may be made again without harm (RFC 9110 section 9.2.2).

    GET, PUT, DELETE and their like may, and what carries a key by which the server knows a repetition; a POST may if it
    asks a model for something, judged by its path or, where an SDK hides the path, by the name of the function.

    Args:
        sent: method and URL of the request, where its response tells.

    Returns:
        False if it creates something, None if nothing tells.
    """
    call, args, kwargs = without_partial(call, args, kwargs)
    name = _name_of(call).lstrip("_")
    request: Any = args[0] if args else kwargs.get("request")
    owner = attribute(call, "__self__") or attribute(attribute(call, "__wrapped__"), "__self__")
    if _has_key(owner, request, kwargs):
        return True
    for vendor in VENDORS:
        if (
            vendor.repeatable is not None
            and (told := vendor.repeatable(call, owner, args, kwargs)) is not None
        ):
            return told
    path = attribute(call, "_method")  # of gRPC: b"/package.Service/Method"
    if not name and isinstance(path, bytes):
        name = path.decode().rpartition("/")[2]
    if has_method(request, "get_method"):  # urllib.request's, which `urlopen` is given
        args = (request.get_method(), str(attribute(request, "full_url")))
    elif isinstance(attribute(request, "method"), str):  # a request of requests or httpx, made beforehand
        args = (request.method, str(attribute(request, "url")))
    elif name in ("urlopen", "open", "urlretrieve") and "://" in str(request):
        args = ("GET" if kwargs.get("data", *args[1:2]) is None else "POST", request)
    words = [
        str(arg)
        for arg in (*args[:2], kwargs.get("method"), kwargs.get("url"))
        if isinstance(arg, str) or attribute(arg, "scheme") is not None  # a URL of httpx or yarl
    ]
    if name in _TAKES_METHOD and words and words[0].isalpha():
        name, words = words[0], words[1:]
    url = _URL.fullmatch(words[0]) if words else None
    if name.lower() in _CREATING or (url and not _READ_ONLY.match(name)):
        path = url[2] if url else "".join(words[:1])  # below a client's `base_url`
        return _asks_a_model(path) and not kwargs.get("files")
    if sent is not None and (sent[0] not in _CREATING or _asks_a_model(sent[1])):
        return True
    harmless = is_harmless(type(owner), name)
    return False if harmless is None and sent is not None else harmless


def is_harmless(owner: type, name: str) -> "bool | None":
    """Return True if a method reads, or asks a model, as its name tells; False if it creates something; None if it tells neither."""
    if _READ_ONLY.match(name):
        return True
    # OpenAI's `beta.threads.messages` are told from Anthropic's `messages` by their module alone.
    full_name = ".".join((*owner.__module__.split(".")[-2:], owner.__name__, name))
    makes = _MAKES.search(full_name)
    if _INFERENCE.search(f"{owner.__name__}.{name}") and not makes:
        return True
    return False if makes or _CREATES.match(name) else None


def _asks_a_model(url: str) -> bool:
    """Return True for the path of a POST, or its URL, that creates nothing."""
    found = _URL.fullmatch(url)
    path = (found[2] if found else url).partition("?")[0].lstrip("/")
    return bool(_INFERENCE.search(path)) and not _MAKES.search(path)


def _has_key(owner: Any, request: Any, kwargs: Mapping[str, Any]) -> bool:
    """Return True if a request carries a key of its caller's, the same with each attempt, by which a repetition is known."""
    places = (*map(kwargs.get, _HEADER_NAMES), attribute(request, "headers"), attribute(owner, "headers"))
    return any(
        header(headers, "idempotency-key") or header(headers, "x-idempotency-key") for headers in places
    )


def sent_request(outcome: Any) -> "tuple[str, str] | None":
    """Return method (in small letters) and URL of the request that a response, or an error with one, is the answer to.

    Of several, which redirections make, it is the first.
    """
    for thing in (attribute(outcome, "response"), attribute(outcome, "raw_response"), outcome):
        history = attribute(thing, "history")
        first = history[0] if isinstance(history, list | tuple) and history else thing
        for request in (
            attribute(first, "request"),
            attribute(first, "request_info"),
            first,
        ):  # aiohttp's are the last two
            method, url = attribute(request, "method"), attribute(request, "url")
            if isinstance(method, str) and url is not None:
                return method.lower(), str(url)
    return None


def _name_of(call: Any) -> str:
    """Return a function's name; of a mock, that of the method in whose place it is."""
    if type(call).__module__ == "unittest.mock" and not isinstance(attribute(call, "__name__"), str):
        # What was patched, or an attribute of another mock: "mock.session.get".
        whole = attribute(call, "_extract_mock_name")
        return str(whole()).rpartition(".")[2].rpartition(" ")[2] if callable(whole) else ""
    return str(attribute(call, "__name__") or "")


def without_partial(
    call: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> "tuple[Any, Sequence[Any], Mapping[str, Any]]":
    """Return what a `functools.partial` calls, and with which arguments; anything else as it is."""
    while isinstance(call, partial):
        call, args, kwargs = call.func, (*call.args, *args), {**call.keywords, **kwargs}
    return call, args, kwargs


def _is_of_aiohttp(thing: Any) -> bool:
    """Return True for a class or function of aiohttp, which closes the files that it has sent."""
    return str(attribute(thing, "__module__")).partition(".")[0] == "aiohttp"


def _may_be_read_once(body: Any) -> bool:
    """Return True for what is sent by iterating over it, unless it is a collection: another time may give nothing."""
    if isinstance(body, str | Sequence | Mapping | Set) or has_method(body, "read") or body is None:
        return False
    if not (has_method(body, "__iter__") or has_method(body, "__aiter__")):
        return False
    try:
        memoryview(body)
    except TypeError:
        return not _is_of_aiohttp(type(body))
    return False


def may_hold_a_body(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return False, quickly, where no argument is a file or an iterator that a second attempt would find used up."""
    for value in args:
        if type(value) not in PLAIN_ARGUMENTS and not _is_plain_data(value):
            return True
    for name in kwargs:  # noqa: SIM110, it is faster
        if name in _BODY_NAMES and not _is_plain_data(kwargs[name]):
            return True
    return False


def _is_plain_data(value: Any, depth: int = 5) -> bool:
    """Return True for what JSON is made of."""
    kind = type(value)
    if kind in PLAIN_ARGUMENTS:
        return True
    if not depth or kind not in _CONTAINERS:
        return False
    for item in value.values() if kind is dict else value:
        if type(item) not in PLAIN_ARGUMENTS and not _is_plain_data(item, depth - 1):
            return False
    return True


class Rewinder:
    """Puts the files in a request's body back to where they stood before the first attempt.

    Args:
        args: of the request.
        kwargs: likewise.
        call: what sends it; an HTTP client iterates over a body that is neither text nor a file.
    """

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any], call: Any = None) -> None:
        self.rewindable = True
        self.marks: list[tuple[Any, int]] = []
        maker = attribute(call, "__self__") or call
        classes = (maker,) if maker is call else type(maker).__mro__
        self.closes_files = any(_is_of_aiohttp(cls) for cls in classes)
        bodies = (*args, *(value for name, value in kwargs.items() if name in _BODY_NAMES))
        if _name_of(call).lower() in _SENDS_A_BODY and any(map(_may_be_read_once, bodies)):
            self.rewindable = False
        for value in bodies:
            self._look_into(value, 5)

    def _look_into(self, value: Any, depth: int) -> None:
        if isinstance(value, str | bytes | int | float) or value is None:
            return
        if has_method(value, "get_method"):  # urllib.request's
            self.rewindable = self.rewindable and not _may_be_read_once(attribute(value, "data"))
            self._look_into(attribute(value, "data"), depth - 1)
            return
        if isinstance(attribute(value, "method"), str):  # a request of requests or httpx, made beforehand
            self.rewindable = self.rewindable and not _may_be_read_once(attribute(value, "body"))
            self._look_into(attribute(value, "body"), depth - 1)
            if has_method(value, "read") and attribute(value, "_content") is None:
                self.rewindable = False
            return
        if _is_of_aiohttp(type(value)):  # a form, parts, or a payload
            self._look_into([attribute(value, name) for name in ("_fields", "_parts", "_value")], depth)
            return
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for item in value if depth else ():
                self._look_into(item, depth - 1)
        elif callable(attribute(value, "read")):
            self._mark(value)
        elif callable(attribute(value, "__next__")) or callable(attribute(value, "__anext__")):
            self.rewindable = False

    def _mark(self, file: Any) -> None:
        """Note where a file stands. Files of aiofiles and anyio only tell it when they are awaited."""
        if self.closes_files and not isinstance(file, BytesIO | StringIO):
            self.rewindable = False
            return
        try:
            mark = file.tell()
        except Exception:
            mark = None
        if isinstance(mark, int):
            self.marks.append((file, mark))
            return
        self.rewindable = False
        if has_method(mark, "close"):
            mark.close()

    def rewind(self) -> bool:
        """Return True if the body can be sent again, and make it so."""
        try:
            for stream, mark in self.marks:
                stream.seek(mark)
        except Exception:
            return False
        return self.rewindable

"""Matches resolved names with the rows of `libraries`, and with those that the user has added."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .amazon import BATCH, PAGES_LATER, WAITER
from .libraries import ADAPTERS, LIBRARIES
from .not_covered import NOT_COVERED
from .request_shapes import SHAPES, mentions_collection
from .rows import HTTP, Client, Library

_SAME_CLIENT = re.compile(
    r"\.(with_options|copy|with_raw_response|with_streaming_response|aio|beta)(\(\))?(?=\.)"
)
"""What stands between a client and its methods without changing what they do."""
_IMPORT = re.compile(rb"\b(?:import|from)[ \t]|\b(?:import_module|__import__)\(")
_LINE_END = re.compile(rb"[\r\n]")
_STUB = re.compile(r"(?:^|\.)\w+_pb2_grpc\.\w+Stub$")
_GRPC = next(row for row in LIBRARIES if row.name == "grpc")
_BOTO_TYPE = re.compile(r"(?:mypy|types)_boto3_\w+\.(?:\w+\.)?\w+Client$")
"""The types of boto3's clients, which only annotations name."""
_FUTURE = "it returns a future before there is an answer; hand the method itself to `submit(...)` instead"
_GRPC_METHOD = re.compile(r"\.[A-Z]\w*(?:\.with_call)?$")

_WAITS = re.compile(r"\.wait_until_\w+$")
_GIVES_A_THING = re.compile(r"create(?:_\w+)?$|put_object$|get_queue_by_name$|receive_messages$")
"""Requests of a resource of boto3 that give a thing of it, rather than the answer."""
_COLLECTION = re.compile(r"\.\w+\.(?:all|filter|limit|page_size|pages)$")

# Calls that pass through one another inside a session: `get` calls `request`, which calls `send`.
_DEPTH = {
    **dict.fromkeys(HTTP.split(), 0),
    "stream": 0,
    "fetch_token": 0,
    "request": 1,
    "_request": 1,
    "send": 2,
}


_SETTINGS = frozenset(
    "api_key auth_token base_url custom_auth default_headers default_query headers max_retries meta timeout".split()
)
"""Attributes of a client that are told to it, and whose methods make no requests: `client.api_key.strip()`."""
_CALLED = re.compile(
    r"""(?x)
    \.a?(?: create | generate | complete | embed | rerank | stream | list | retrieve | get | update | delete | cancel | upload
    | download | parse | invoke | converse | publish | query | scan | copy | count_tokens
    | (?: batch | copy | create | delete | describe | download | embed | generate | get | head | invoke | list | put | send
        | start | stop | tag | untag | update | upload )_\w+
    )(?: _async | _stream )?$"""
)
"""What is a method of a client of which not every method is known."""


@dataclass(frozen=True)
class Transport:
    """A recognised call: its library, why it cannot be wrapped, and why it is not to be retried by us, if so.

    Attributes:
        may_be_a_part: if it is not called, it may as well be a part of the client: `client.aio.files`, `s3.meta`.
    """

    library: Library
    refusal: str = ""
    queued_only: str = ""
    may_be_a_part: bool = False


class Catalogue:
    """The rows, arranged for being looked up.

    Args:
        own: rows that the user has added. Their names also match relative imports: `shop.http.fetch` is known as
            `fetch` where a module of the package `shop` says `from .http import fetch`.
    """

    def __init__(self, own: tuple[Library, ...] = ()) -> None:
        rows = (*LIBRARIES, *own)
        self._functions = {f"{row.name}.{name}": row for row in rows for name in row.functions}
        self._clients: dict[str, tuple[Library, Client]] = {
            maker: (row, client) for row in rows for client in row.clients for maker in client.made_by
        }
        self._refused = {name: (row, why) for row in rows for name, why in row.refused.items()}
        for row in own:
            for name in row.functions:
                self._add_relative(f"{row.name}.{name}")
            for client in row.clients:
                for maker in client.made_by:
                    self._add_relative(maker)
        own_names = [*(f"{row.name}.{name}" for row in own for name in row.functions)]
        own_names += [maker for row in own for client in row.clients for maker in client.made_by]
        self._own = frozenset(part for name in own_names for part in _parts_of(name))
        self._modules = frozenset(
            part
            for name in (*self._functions, *self._clients)
            if not name.startswith(".")
            for part in list(_beginnings(name.partition("()")[0]))[:-1]
        )
        self._proxies = {
            f"{row.name}.{attribute}": (row, client)
            for row in rows
            for client in row.clients[:1]
            for attribute in row.proxies
        }
        self._with_functions = frozenset(name.rpartition(".")[0] for name in self._functions)
        known = (*self._functions, *self._clients, *self._refused)
        words = {name.partition(".")[0] for name in (*known, *NOT_COVERED) if not name.startswith(".")}
        own_words = {
            maker.rpartition(".")[2] for row in own for client in row.clients for maker in client.made_by
        }
        own_words |= {name for row in own for name in row.functions}
        self._imported = re.compile(rb"\b(?:%s)\b" % "|".join(sorted(words)).encode())
        patterns = [re.escape(word.encode()) for word in sorted(own_words)]
        self._shapes = re.compile(b"|".join([*patterns, b"_pb2_grpc", SHAPES]))

    def mentioned_in(self, data: bytes) -> bool:
        """Return True for the bytes of any file that can contain a call, or what looks like one.

        A file is dismissed unless it imports a library, or has the shape of a request in it. Each line is looked
        through once, as a line can have a million words `import`.
        """
        start = 0
        while found := _IMPORT.search(data, start):
            start = found.end()
            end = _LINE_END.search(data, start)
            stop = end.start() if end else len(data)
            if self._imported.search(data, start, stop):
                return True
            start = stop
        return bool(self._shapes.search(data)) or mentions_collection(data)

    def _add_relative(self, name: str) -> None:
        parts = name.split(".")
        for index in range(len(parts)):
            relative = "." + ".".join(parts[index:])
            if name in self._functions:
                self._functions.setdefault(relative, self._functions[name])
            if name in self._clients:
                self._clients.setdefault(relative, self._clients[name])

    def is_own(self, name: str) -> bool:
        """Return True for a name that the user's own rows have, or that one of theirs begins with."""
        return name in self._own

    def is_module(self, name: str) -> bool:
        """Return True for the name of a library's module: `requests`, `google.genai`."""
        return name in self._modules

    def has_functions(self, name: str) -> bool:
        """Return True for a module whose functions make requests: `requests`, `urllib.request`."""
        return name in self._with_functions

    def has(self, name: str) -> bool:
        """Return True for a function, client or module of the table."""
        return name in self._functions or name in self._clients or name in self._modules

    def transport(self, name: str) -> Transport | None:
        """Return what a resolved name calls, or None if it is not a request."""
        if (of_proxy := self._of_proxy(name)) is not None:
            return of_proxy
        name = _plain(_SAME_CLIENT.sub("", name))
        if name in self._functions:
            row = self._functions[name]
            return Transport(row, queued_only=row.why_queued_only(name))
        if name in self._refused:
            return Transport(*self._refused[name])
        index = name.rfind("()")
        while index >= 0:
            maker, rest = name[:index], name[index + 2 :]
            if maker in self._clients:
                row, client = self._clients[maker]
                if client.chained and (refusal := _why_several(rest)):
                    return Transport(row, refusal)
                if not _is_request(client, rest):
                    return None
                return Transport(row, "", row.why_queued_only(rest), _may_be_a_part(client, rest))
            if _STUB.search(maker):
                if rest.endswith(".future"):
                    return Transport(_GRPC, _FUTURE)
                return Transport(_GRPC) if _GRPC_METHOD.fullmatch(rest) else None
            index = name.rfind("()", 0, index)
        return None

    def _of_proxy(self, name: str) -> Transport | None:
        """Return what a name calls that hangs from a module as if that were a client: `openai.chat.completions.create`."""
        proxy = self._proxies.get(".".join(name.split(".", 2)[:2]))
        if proxy is None:
            return None
        row, client = proxy
        if not _is_request(client, name.removeprefix(row.name)):
            return None
        return Transport(row, queued_only=row.why_queued_only(name))

    def is_of_table(self, name: str) -> bool:
        """Return True for a client of the table, and for whatever comes of one or of a function of the table."""
        index = name.find("()")
        while index >= 0:
            if name[:index] in self._clients or name[:index] in self._functions:
                return True
            index = name.find("()", index + 2)
        return False

    def is_lazy(self, name: str) -> bool:
        """Return True for a thing of a resource of boto3, whose attributes are asked for with a request of their own."""
        maker, _, rest = name.partition("()")
        row = self._clients.get(maker)
        return row is not None and row[1].chained and rest.endswith("()")

    def is_collection(self, name: str) -> bool:
        """Return True for a collection of a resource of boto3: one that is gone over gives things of the resource."""
        return bool(_COLLECTION.search(name.removesuffix("()"))) and self.is_lazy(name)

    def is_client(self, maker: str) -> bool:
        """Return True if calling this dotted name makes a client, or if it is the type of one."""
        return _plain(maker) in self._clients or bool(_STUB.search(maker))

    def any_method(self, maker: str) -> bool:
        """Return True for a client all of whose methods, but for some, make requests."""
        row = self._clients.get(_plain(maker))
        return row is not None and not row[1].methods

    def is_known_class(self, name: str) -> bool:
        """Return True for a client, and for a class whose instances are inside one."""
        return self.is_client(name) or name in ADAPTERS

    def word(self, name: str) -> str:
        """Return the name of the library that makes a client, or nothing."""
        return self._clients[name][0].name if name in self._clients else ""


def _beginnings(name: str) -> Iterator[str]:
    """Yield a name's beginnings, the name itself last: `a`, `a.b`."""
    parts = name.split(".")
    for stop in range(1, len(parts) + 1):
        yield ".".join(parts[:stop])


def _parts_of(name: str) -> Iterator[str]:
    """Yield what imports may begin a name with: `shop`, `shop.http`, and by relative imports `.http`, `.http.fetch`."""
    yield from _beginnings(name)
    parts = name.split(".")
    for start in range(len(parts)):
        for beginning in _beginnings(".".join(parts[start:])):
            yield f".{beginning}"


def _plain(name: str) -> str:
    """Return a name with the type of a client of boto3, if it begins with one, replaced by what makes such a client."""
    maker, called, rest = name.partition("()")
    return f"boto3.client{called}{rest}" if _BOTO_TYPE.match(maker) else name


def _is_request(client: Client, rest: str) -> bool:
    """Return True if `rest`, such as `.chat.completions.create`, makes a request of a client."""
    if not rest.startswith(".") or ("()" in rest and not client.chained):
        return False
    if client.chained and _is_data(client, rest):
        return False
    path = rest[1:].replace("()", "")
    *attributes, method = path.split(".")
    if attributes and not (client.nested or client.chained):
        return False
    if method.startswith("_") and method not in client.methods and method != "_make_api_call":
        return False
    if not attributes and client.nested and not client.direct:
        return False
    if method in client.others or path in client.others:
        return False
    if not client.methods and _SETTINGS.intersection(attributes[:1]):
        return False
    return not client.methods or method in client.methods


def _may_be_a_part(client: Client, rest: str) -> bool:
    """Return True if `rest`, such as `.aio.files`, may be a part of a client rather than a method."""
    method = rest.rpartition(".")[2]
    is_called = _CALLED.search(rest) or (not client.nested and "_" in method and method not in _SETTINGS)
    return not (client.methods or is_called)


def _why_several(rest: str) -> str:
    """Return why a call on a thing of a resource of boto3 is not wrapped: it makes several requests, or makes them later."""
    if _COLLECTION.search(rest):
        return PAGES_LATER
    if ".batch_writer()." in rest:
        return BATCH
    return WAITER if _WAITS.search(rest) else ""


def _is_data(client: Client, rest: str) -> bool:
    """Return True for what a request has answered, or what comes of that: `.Table().query()`, `.Table().query().get`.

    What is made on the way, such as a bucket, or a queue that is looked up, is not data.
    """
    called = [part.rpartition(".")[2] for part in rest.split("()")[:-1]]
    return any(name in client.methods and not _GIVES_A_THING.match(name) for name in called)


def passes_through(method: str, overridden: frozenset[str]) -> bool:
    """Return True if a session's method ends up in a method that its subclass has overridden."""
    if method not in _DEPTH:
        return False
    return any(_DEPTH.get(name, -1) > _DEPTH[method] for name in overridden)


@lru_cache(maxsize=8)
def catalogue(own: tuple[Library, ...] = ()) -> Catalogue:
    """Return the catalogue with the user's own rows."""
    return Catalogue(own)

"""What a row of the table of libraries says, and how one is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SYNC, ASYNC, BOTH = "sync", "async", "both"

OFF = "off"
"""The library's own retries are turned off by the runtime, for each call (`once` of a vendor)."""
NONE = "none"
"""The library does not retry by default."""


@dataclass(frozen=True)
class Client:
    """A class, or a function that makes a client, and the methods of the client that make requests.

    Attributes:
        made_by: dotted names of the class or function.
        methods: names of methods; empty means all but those in `others`.
        others: names of methods, or paths such as `chats.create`, that make no request.
        nested: the methods hang from attributes of the client: `client.chat.completions.create`.
        direct: methods of the client itself count as well, where it is nested.
        chained: the methods may hang from what other methods return: `boto3.resource().Bucket().upload_file`.
    """

    made_by: tuple[str, ...]
    methods: frozenset[str]
    others: frozenset[str] = frozenset()
    nested: bool = False
    direct: bool = True
    chained: bool = False


@dataclass(frozen=True)
class Library:
    """A library.

    Attributes:
        name: of the module that is imported.
        functions: functions of the module that make requests.
        clients: the clients it has.
        calls: SYNC, ASYNC or BOTH.
        own_retries: OFF, NONE, or a sentence that says how to turn them off, because we cannot: its calls are queued only.
        streams: an answer can come in parts; it keeps its slot until it is read, then.
        refused: name of a call that is reported, but not wrapped -> why.
        queued_only: name of a function or method that is queued without a backoff of ours -> why.
        proxies: attributes of the module that are those of a client: `openai.chat`.
    """

    name: str
    functions: frozenset[str] = frozenset()
    clients: tuple[Client, ...] = ()
    calls: str = SYNC
    own_retries: str = NONE
    streams: bool = True
    refused: Mapping[str, str] = field(default_factory=dict, hash=False)
    queued_only: Mapping[str, str] = field(default_factory=dict, hash=False)
    proxies: tuple[str, ...] = ()

    def why_queued_only(self, name: str) -> str:
        """Return why a call, given by its resolved name, is not to be retried by us; or nothing."""
        if self.own_retries not in (OFF, NONE):
            return f"{self.name} retries by itself: {self.own_retries}"
        return self.queued_only.get(name.rpartition(".")[2], "")


def row(
    name: str,
    functions: str,
    *clients: Client,
    calls: str = SYNC,
    own_retries: str = NONE,
    streams: bool = True,
    refused: Mapping[str, str] | None = None,
    queued_only: Mapping[str, str] | None = None,
    proxies: str = "",
) -> Library:
    """Return a row; `functions` and `proxies` are names with spaces between them."""
    return Library(
        name,
        frozenset(functions.split()),
        clients,
        calls,
        own_retries,
        streams,
        refused or {},
        queued_only or {},
        tuple(proxies.split()),
    )


def client(
    made_by: str, methods: str = "", others: str = "", nested: bool = False, direct: bool = True, chained: bool = False
) -> Client:  # fmt: skip
    """Return a client for a row; all names are strings with spaces between them."""
    return Client(
        tuple(made_by.split()),
        frozenset(methods.split()),
        frozenset(others.split()),
        nested,
        direct,
        chained,
    )


def prefixed(module: str, names: str) -> str:
    """Return `module.name` for each name."""
    return " ".join(f"{module}.{name}" for name in names.split())


HTTP = "get options head post put patch delete request"
SDK = (
    "create parse stream list retrieve update delete cancel edit generate content create_variation acreate"
    " create_and_run create_and_poll create_and_stream upload upload_and_poll submit_tool_outputs count_tokens"
    " results search download retrieve_content transcribe translate edit_image generate_content"
    " generate_content_stream embed_content generate_images generate_videos create_and_run_poll"
    " create_and_run_stream poll submit_tool_outputs_and_poll submit_tool_outputs_stream complete compact count run"
    " list_events list_files list_items download_content retrieve_metadata wait_for_processing upload_file_chunked info"
    " validate pause resume query remix"
)
WEBSOCKET = "a websocket stays open and would keep its slot"
SEVERAL = "it makes several requests, and the library retries each of them"

"""The one table of the libraries whose calls we recognise: a row a library.

A call is looked up by a resolved name: `requests.post`, or for a method of a client `requests.Session().post`, where
`()` stands for the call that makes the client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_HTTP = "get options head post put patch delete request"
_SDK = (
    "create parse stream list retrieve update delete cancel edit generate content create_variation acreate"
    " create_and_run create_and_poll create_and_stream upload upload_and_poll submit_tool_outputs count_tokens"
    " generate_content generate_content_stream embed_content generate_images"
)


@dataclass(frozen=True)
class Client:
    """A class, or a function that makes a client, and the methods of the client that make requests.

    Args:
        made_by: dotted names of the class or function.
        methods: names of methods; empty means all but those in `others`.
        others: names of methods that make no request.
        nested: the methods may hang from attributes of the client: `client.chat.completions.create`.
    """

    made_by: tuple[str, ...]
    methods: frozenset[str]
    others: frozenset[str] = frozenset()
    nested: bool = False


@dataclass(frozen=True)
class Library:
    """A library.

    Args:
        name: of the module that is imported; a file without this word in it is not looked at.
        functions: functions of the module that make requests.
        clients: the clients it has.
        two_steps: methods that send a request whose answer another call reads; they are reported, not wrapped.
    """

    name: str
    functions: frozenset[str] = frozenset()
    clients: tuple[Client, ...] = ()
    two_steps: frozenset[str] = frozenset()


def _row(name: str, functions: str = "", *clients: Client, two_steps: str = "") -> Library:
    return Library(name, frozenset(functions.split()), clients, frozenset(two_steps.split()))


def _client(made_by: str, methods: str = "", others: str = "", nested: bool = False) -> Client:
    return Client(tuple(made_by.split()), frozenset(methods.split()), frozenset(others.split()), nested)


LIBRARIES: tuple[Library, ...] = (
    _row(
        "requests",
        _HTTP,
        _client("requests.Session requests.session requests.sessions.Session", _HTTP + " send"),
    ),
    _row("httpx", _HTTP + " stream", _client("httpx.Client httpx.AsyncClient", _HTTP + " send stream")),
    _row("aiohttp", "request", _client("aiohttp.ClientSession", _HTTP + " ws_connect")),
    _row("urllib3", "request", _client("urllib3.PoolManager urllib3.ProxyManager", "request urlopen")),
    _row(
        "urllib.request",
        "urlopen urlretrieve",
        _client("urllib.request.build_opener urllib.request.OpenerDirector", "open"),
    ),
    _row(
        "http.client",
        two_steps="http.client.HTTPConnection().request http.client.HTTPSConnection().request"
        " http.client.HTTPConnection().getresponse http.client.HTTPSConnection().getresponse",
    ),
    _row(
        "openai",
        "ChatCompletion.create ChatCompletion.acreate Completion.create Completion.acreate Embedding.create"
        " Embedding.acreate Image.create Moderation.create Audio.transcribe chat.completions.create"
        " completions.create embeddings.create images.generate responses.create models.list moderations.create",
        _client(
            "openai.OpenAI openai.AsyncOpenAI openai.Client openai.AsyncClient openai.AzureOpenAI"
            " openai.AsyncAzureOpenAI openai.lib.azure.AzureOpenAI",
            _SDK,
            nested=True,
        ),
    ),
    _row(
        "anthropic",
        "",
        _client(
            "anthropic.Anthropic anthropic.AsyncAnthropic anthropic.Client anthropic.AsyncClient"
            " anthropic.AnthropicBedrock anthropic.AsyncAnthropicBedrock anthropic.AnthropicVertex"
            " anthropic.AsyncAnthropicVertex",
            _SDK,
            nested=True,
        ),
    ),
    _row("groq", "", _client("groq.Groq groq.AsyncGroq groq.Client groq.AsyncClient", _SDK, nested=True)),
    _row("together", "", _client("together.Together together.AsyncTogether", _SDK, nested=True)),
    _row(
        "google",
        "",
        _client("google.genai.Client", _SDK + " send_message send_message_stream", nested=True),
        _client(
            "google.generativeai.GenerativeModel google.generativeai.generative_models.GenerativeModel",
            "generate_content generate_content_async count_tokens count_tokens_async",
        ),
    ),
    _row("google.generativeai", "embed_content list_models get_model upload_file generate_text"),
    _row(
        "cohere",
        "",
        _client(
            "cohere.Client cohere.AsyncClient cohere.ClientV2 cohere.AsyncClientV2",
            "chat chat_stream embed generate generate_stream rerank classify summarize tokenize detokenize",
        ),
    ),
    _row(
        "mistralai",
        "",
        _client(
            "mistralai.Mistral mistralai.client.MistralClient mistralai.async_client.MistralAsyncClient",
            "complete complete_async stream stream_async create create_async chat chat_stream embeddings list_models",
            nested=True,
        ),
    ),
    _row(
        "ollama",
        "chat generate embed embeddings list pull push show create delete copy ps",
        _client(
            "ollama.Client ollama.AsyncClient",
            "chat generate embed embeddings list pull push show create delete copy ps",
        ),
    ),
    _row(
        "huggingface_hub",
        "hf_hub_download snapshot_download",
        _client(
            "huggingface_hub.InferenceClient huggingface_hub.AsyncInferenceClient",
            others="get_recommended_model get_model_status",
            nested=True,
        ),
    ),
    _row(
        "boto3",
        "",
        _client(
            "boto3.client boto3.session.Session().client boto3.Session().client",
            others="can_paginate close get_paginator get_waiter generate_presigned_url generate_presigned_post",
        ),
    ),
    _row("litellm", "completion acompletion embedding aembedding text_completion atext_completion rerank"),
)

_FUNCTIONS = {f"{row.name}.{name}": row for row in LIBRARIES for name in row.functions}
_CLIENTS = {maker: (row, client) for row in LIBRARIES for client in row.clients for maker in client.made_by}
_TWO_STEPS = {name: row for row in LIBRARIES for name in row.two_steps}
_SAME_CLIENT = re.compile(
    r"\.(with_options|copy|with_raw_response|with_streaming_response|aio|beta)(\(\))?(?=\.)"
)

MENTIONED = re.compile(
    b"|".join(sorted({row.name.partition(".")[0].encode() for row in LIBRARIES}, reverse=True))
)
"""Matches the bytes of any file that can contain a call."""

CLIENT_WORDS = re.compile(
    r"(?:^|_)(?:session|client|http|sdk|openai|anthropic|groq|conn|s3)\d*$", re.IGNORECASE
)
"""Names of attributes whose methods look like requests where their type cannot be seen."""
HTTP_METHODS = frozenset(_HTTP.split()) | {"send"}
NESTED_SDK_CALL = re.compile(r"\.(chat\.completions|completions|embeddings|messages|responses|models)\.\w+$")
"""Endings of an SDK's call that no other code has."""


@dataclass(frozen=True)
class Transport:
    """A recognised call: its library, and why it cannot be wrapped, if so."""

    library: str
    refusal: str = ""


def transport(name: str) -> Transport | None:
    """Return what a resolved name calls, or None if it is no request."""
    name = _SAME_CLIENT.sub("", name)
    if name in _FUNCTIONS:
        return Transport(_FUNCTIONS[name].name)
    if name in _TWO_STEPS:
        return Transport(
            _TWO_STEPS[name].name, "the request and its answer are two calls; retrying one would not do"
        )
    maker, called, rest = name.rpartition("()")
    if not called or not rest.startswith("."):
        return None
    if maker not in _CLIENTS:
        return None
    row, client = _CLIENTS[maker]
    *path, method = rest[1:].split(".")
    if path and not client.nested:
        return None
    wanted = method in client.methods if client.methods else method not in client.others
    if not wanted or method.startswith("_") or (client.nested and not path and row.name in _NESTED_ONLY):
        return None
    return Transport(row.name)


_NESTED_ONLY = frozenset({"openai", "anthropic", "groq", "together"})


def is_client(maker: str) -> bool:
    """Return True if calling this dotted name makes a client."""
    return maker in _CLIENTS


def module_names(names: Iterable[str]) -> frozenset[str]:
    """Return the first parts of dotted names."""
    return frozenset(name.partition(".")[0] for name in names)

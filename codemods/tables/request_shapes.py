"""What looks like a request where the type of its receiver is not known."""

from __future__ import annotations

import ast
import re

from .rows import HTTP, SDK

HTTP_METHODS = frozenset(HTTP.split()) | {"send"}
_CLIENT_NAME = r"(?:session|client|http|sdk|openai|anthropic|groq|conn|s3)\d*"
CLIENT_WORDS = re.compile(rf"(?:^|_){_CLIENT_NAME}$", re.IGNORECASE)
"""Names of attributes whose methods look like requests."""
_SDK_PATHS = (
    r"(?:chat\.completions|completions|embeddings|messages|messages\.batches|responses|models|images|moderations"
    r"|audio\.(?:transcriptions|translations|speech)|beta\.\w+|threads\.(?:runs|messages)|runs\.steps|fine_tuning\.\w+"
    r"|vector_stores|vector_stores\.\w+|batches|uploads\.parts|containers\.files|evals\.runs)"
)
SDK_CALL = re.compile(rf"\._make_api_call$|\.{_SDK_PATHS}\.(?:{'|'.join(SDK.split())})$")
"""Endings of calls through an SDK."""
SDKS = frozenset({"openai", "anthropic", "groq", "mistralai", "together", "cohere", "google"})
OF_SDK_CLIENT = re.compile(
    r"(?:^|_)(?:openai|anthropic|groq|mistral|cohere|ollama|gemini|genai|together)_?client"
    rf"\.(?:{'|'.join(SDK.split())}|pull|push|show|ps|chat|embed)$",
    re.IGNORECASE,
)
"""Calls of what is called the client of an SDK."""
OF_IMPORTED_SDK = re.compile(
    r"\.(?:files|containers|conversations|fine_tuning|skills|vector_stores\.files)\.\w+$"
    r"|\.with_(?:raw|streaming)_response\.\w+$"
    r"|\.chat\.(?:complete|stream|parse)(?:_async)?$|\.fim\.(?:complete|stream)(?:_async)?$"
)
"""Endings of calls through an SDK in a file that imports one: others have them, too."""
TALKS = re.compile(
    r"(?:chat|session|conversation|convo|create|start_chat)\d*\.send_message(?:_stream|_async)?$"
)
"""Calls of a conversation through an SDK, in a file that imports one."""
SURE_SDK_CALL = re.compile(
    r"\.(?:chat\.completions\.(?:create|parse|stream)|models\.generate_content(?:_stream)?|_make_api_call)$"
)
"""Endings that nothing but an SDK has."""
SDK_KEYWORDS = frozenset({"model", "messages", "prompt", "input", "max_tokens", "modelId"})
"""Keywords that make a shorter ending, such as `messages.create`, a call through an SDK."""
SDK_METHODS = frozenset(
    "create acreate generate agenerate chat complete completion embed rerank stream invoke_model converse"
    " text_generation generate_content".split()
)
"""Methods of SDKs' clients themselves, which many other things have as well."""
ASKS_MODEL = frozenset(
    "generate agenerate chat complete completion embed rerank stream ask invoke achat acomplete".split()
)
"""Methods of what asks a model, if they are given two of `TOLD_MODEL`."""
TOLD_MODEL = frozenset(
    {"model", "messages", "prompt", "input", "documents", "query", "texts", "max_tokens", "temperature"}
)
LAZY_ATTRIBUTES = frozenset(
    """
    content_length content_type content_encoding e_tag last_modified version_id storage_class archive_status
    creation_date item_count table_status table_size_bytes
    """.split()
)
"""Attributes of things of a resource of boto3 that are asked for when they are first read."""
BOTO_METHODS = re.compile(
    r"(?:invoke|converse|query|scan|publish)(?:_\w+)?$|(?:get|put|list|describe|create|delete|update|head|copy|send|receive"
    r"|start|stop|run|batch|upload|download|tag|untag|modify|register|detect|analyze|synthesize|retrieve|apply)_\w+$"
)
"""Methods of boto3's clients, by their names."""
NO_REQUESTS = frozenset(
    "generate_presigned_url generate_presigned_post get_paginator get_waiter can_paginate close".split()
)
"""Methods of boto3's clients that make no request."""
CONTAINERS = re.compile(
    r"(?:^|_)(?:cache|data|options|params|config|mapping|registry|store|map|dict|table|index|memo|env|environ|meta|metadata"
    r"|kwargs|payload|body|json|row|record|item|state|context|ctx|\w*[^s]s)$",
    re.IGNORECASE,
)
"""Names of what one looks something up in by `get(key)`."""
HTTP_KEYWORDS = frozenset(
    "headers json params data auth files verify stream allow_redirects follow_redirects cookies proxies".split()
)
"""Keywords that only HTTP clients take."""
OF_CONTAINERS = frozenset(
    "add append clear close copy count decode encode extend format get index insert items join keys open pop put read"
    " remove replace send split start stop strip update values write".split()
)
"""Methods that half of all classes have."""
TAKEN_FOR = {
    "requests": (re.compile(r"(?:^|_)(?:session|http)$", re.IGNORECASE), "requests.Session()"),
    "httpx": (re.compile(r"(?:^|_)(?:client|session|http)$", re.IGNORECASE), "httpx.Client()"),
    "httpx2": (re.compile(r"(?:^|_)(?:client|session|http)$", re.IGNORECASE), "httpx2.Client()"),
    "aiohttp": (re.compile(r"(?:^|_)(?:session|client|http)$", re.IGNORECASE), "aiohttp.ClientSession()"),
}
"""Library -> names under which its client goes, and what such a client is taken for."""
OF_BOTO = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-zA-Z]*)?")
"""Keywords as only boto3's clients take them: `Bucket=`, `FunctionName=`."""

BOTO_COLLECTIONS = frozenset(
    """
    objects object_versions multipart_uploads buckets parts queues tables topics subscriptions platform_applications
    instances images snapshots volumes vpcs subnets security_groups key_pairs network_interfaces stacks alarms metrics
    """.split()
)
"""What a resource of boto3 has several of."""
GOES_OVER = frozenset({"all", "filter", "limit", "page_size", "pages"})
"""Methods of a collection that give what is in it, with a request for each page."""
HAS_COLLECTIONS = re.compile(
    r"(?:bucket|s3|ec2|sqs|sns|glacier|cloudformation|cloudwatch|dynamodb|dynamo)\w*(?:\([^()]*\))?$",
    re.IGNORECASE,
)
"""What a resource of boto3, or a bucket of one, is called."""
_COLLECTION = re.compile(
    rb"\.(?:%s)\.(?:%s)\("
    % ("|".join(sorted(BOTO_COLLECTIONS)).encode(), "|".join(sorted(GOES_OVER)).encode())
)
_LONGEST_OWNER = 100


def mentions_collection(data: bytes) -> bool:
    """Return True for a file that has a collection of boto3 in it, by its names: `bucket.objects.all(`."""
    # From the end, as a pattern that begins with a dot is found faster than one that begins with any of many words.
    for match in _COLLECTION.finditer(data):
        before = data[max(0, match.start() - _LONGEST_OWNER) : match.start()].decode("ascii", "replace")
        if HAS_COLLECTIONS.search(before):
            return True
    return False


SHAPES = (
    rb"(?i:%s)(?:\(\))?\.(?:(?:%s)\(|\w+\(\s*[A-Z]\w*=)|\.%s\.|\.(?:wait|paginate)\(\s*[A-Z]\w*=|(?:mypy|types)_boto3_"
    % (
        _CLIENT_NAME.encode(),
        "|".join(sorted(HTTP_METHODS | SDK_METHODS)).encode(),
        _SDK_PATHS.encode(),
    )
)
"""What a file has in it that imports no library, but may send requests through what it is given."""


def has_http_keyword(call: ast.Call) -> bool:
    """Return True for a call that is given what only HTTP clients take."""
    return any(keyword.arg in HTTP_KEYWORDS for keyword in call.keywords)

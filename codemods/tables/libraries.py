"""The one table of the libraries whose calls we recognise: a row a library.

A call is looked up by a resolved name: `requests.post`, or for a method of a client `requests.Session().post`, where
`()` stands for the call that makes the client. How names are matched with the rows is in `catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SYNC, ASYNC, BOTH = "sync", "async", "both"

OFF = "off"
"""The library's own retries are turned off by the runtime, for each call (`once` of a vendor)."""
NONE = "none"
"""The library does not retry unless it is told to."""


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


def _row(
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


def _client(
    made_by: str, methods: str = "", others: str = "", nested: bool = False, direct: bool = True, chained: bool = False
) -> Client:  # fmt: skip
    return Client(
        tuple(made_by.split()),
        frozenset(methods.split()),
        frozenset(others.split()),
        nested,
        direct,
        chained,
    )


def _prefixed(module: str, names: str) -> str:
    return " ".join(f"{module}.{name}" for name in names.split())


def _transports_of(module: str) -> dict[str, str]:
    """Return why nothing is wrapped inside a transport of httpx, or of a fork of it."""
    return {
        f"{module}.{kind}().{method}": ADAPTER
        for kind, method in (
            ("BaseTransport", "handle_request"),
            ("HTTPTransport", "handle_request"),
            ("AsyncBaseTransport", "handle_async_request"),
            ("AsyncHTTPTransport", "handle_async_request"),
        )
    }


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
_TWO_CALLS = "the request and its answer are two calls; retrying one would not do"
ADAPTER = (
    "it is inside a transport of a session; the calls through the session are wrapped where they are made"
)
_WEBSOCKET = "a websocket stays open and would keep its slot"
PAGES_LATER = (
    "it makes its requests later, while it is iterated; wrap a client's own `list_...` or loop instead"
)
_WAITER = "a waiter asks again and again until it is told what it waits for; it would keep its slot"

_SEVERAL = "it makes several requests, and the library retries each of them"
_POLLS = dict.fromkeys(
    "create_and_poll create_and_run_poll upload_and_poll submit_tool_outputs_and_poll poll wait_for_processing"
    " upload_file_chunked".split(),
    _SEVERAL,
)
_TRANSFERS = dict.fromkeys(
    "upload_file upload_fileobj download_file download_fileobj copy wait_until_exists wait_until_not_exists".split(),
    _SEVERAL,
)

LIBRARIES: tuple[Library, ...] = (
    _row(
        "requests",
        HTTP + " " + _prefixed("api", HTTP),
        _client(
            "requests.Session requests.session requests.sessions.Session requests.sessions.session",
            HTTP + " send",
        ),
        own_retries=OFF,
        refused={
            "requests.adapters.HTTPAdapter().send": ADAPTER,
            "requests.adapters.BaseAdapter().send": ADAPTER,
        },
    ),
    # Sessions that are used like those of requests.
    _row("requests_cache", "", _client("requests_cache.CachedSession", HTTP + " send"), own_retries=OFF),
    _row(
        "requests_oauthlib",
        "",
        _client(
            "requests_oauthlib.OAuth1Session requests_oauthlib.OAuth2Session", HTTP + " send fetch_token"
        ),
        own_retries=OFF,
    ),
    _row(
        "cloudscraper",
        "",
        _client("cloudscraper.create_scraper cloudscraper.CloudScraper", HTTP + " send"),
        own_retries=OFF,
    ),
    _row(
        "curl_cffi",
        _prefixed("requests", HTTP) + " " + HTTP,
        _client("curl_cffi.requests.Session curl_cffi.Session", HTTP),
        _client("curl_cffi.requests.AsyncSession curl_cffi.AsyncSession", HTTP),
        calls=BOTH,
    ),
    _row(
        "httpx",
        HTTP + " stream",
        _client("httpx.Client httpx.AsyncClient", HTTP + " send stream"),
        calls=BOTH,
        refused=_transports_of("httpx"),
    ),
    # A fork of httpx, which the SDKs of OpenAI, Anthropic, Mistral and Hugging Face have moved to.
    _row(
        "httpx2",
        HTTP + " query stream",
        _client("httpx2.Client httpx2.AsyncClient", HTTP + " query send sse stream"),
        calls=BOTH,
        refused={
            **_transports_of("httpx2"),
            "httpx2.websocket": _WEBSOCKET,
            "httpx2.Client().websocket": _WEBSOCKET,
            "httpx2.AsyncClient().websocket": _WEBSOCKET,
        },
    ),
    _row("httpx_sse", "connect_sse aconnect_sse", calls=BOTH),
    _row(
        "aiohttp",
        "request",
        _client("aiohttp.ClientSession aiohttp.client.ClientSession", HTTP + " _request"),
        calls=ASYNC,
        refused={"aiohttp.ClientSession().ws_connect": _WEBSOCKET},
    ),
    _row(
        "aiohttp_retry",
        "",
        _client("aiohttp_retry.RetryClient", HTTP),
        calls=ASYNC,
        own_retries="give it ExponentialRetry(attempts=1)",
    ),
    _row(
        "urllib3",
        "request",
        _client(
            "urllib3.PoolManager urllib3.ProxyManager urllib3.poolmanager.PoolManager urllib3.HTTPConnectionPool"
            " urllib3.HTTPSConnectionPool urllib3.connection_from_url",
            "request urlopen request_encode_body request_encode_url",
        ),
        own_retries=OFF,
    ),
    _row(
        "urllib.request",
        "urlopen urlretrieve",
        _client("urllib.request.build_opener urllib.request.OpenerDirector", "open"),
    ),
    _row("six.moves.urllib.request", "urlopen urlretrieve"),
    _row(
        "http.client",
        "",
        refused={
            f"http.client.{kind}().{method}": _TWO_CALLS
            for kind in ("HTTPConnection", "HTTPSConnection")
            for method in ("request", "getresponse")
        },
    ),
    _row(
        "openai",
        "ChatCompletion.create ChatCompletion.acreate Completion.create Completion.acreate Embedding.create"
        " Embedding.acreate Image.create Image.acreate Image.create_edit Image.create_variation Moderation.create"
        " Moderation.acreate Audio.transcribe Audio.atranscribe Audio.translate Edit.create File.create Model.list"
        " FineTune.create chat.completions.create completions.create embeddings.create images.generate images.edit"
        " responses.create models.list moderations.create audio.transcriptions.create audio.translations.create"
        " audio.speech.create files.create",
        _client(
            "openai.OpenAI openai.AsyncOpenAI openai.Client openai.AsyncClient openai.AzureOpenAI"
            " openai.AsyncAzureOpenAI openai.lib.azure.AzureOpenAI openai.lib.azure.AsyncAzureOpenAI"
            " langfuse.openai.OpenAI langfuse.openai.AsyncOpenAI",
            SDK,
            nested=True,
            direct=False,
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
        proxies="chat completions embeddings files images audio moderations models fine_tuning vector_stores batches"
        " uploads beta responses containers evals conversations videos",
    ),
    _row(
        "anthropic",
        "",
        _client(
            "anthropic.Anthropic anthropic.AsyncAnthropic anthropic.Client anthropic.AsyncClient"
            " anthropic.AnthropicBedrock anthropic.AsyncAnthropicBedrock anthropic.AnthropicVertex"
            " anthropic.AsyncAnthropicVertex",
            SDK,
            nested=True,
            direct=False,
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
    ),
    _row(
        "groq",
        "",
        _client("groq.Groq groq.AsyncGroq groq.Client groq.AsyncClient", SDK, nested=True, direct=False),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
    ),
    _row(
        "together",
        "",
        _client("together.Together together.AsyncTogether", others="close copy", nested=True, direct=False),
        calls=BOTH,
        own_retries=OFF,
        queued_only=_POLLS,
    ),
    _row(
        "google.genai",
        "",
        _client(
            "google.genai.Client google.genai.client.Client",
            others="chats.create close aclose",
            nested=True,
        ),
        _client(
            "google.genai.Client().chats.create google.genai.client.Client().chats.create",
            "send_message send_message_stream",
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=dict.fromkeys("upload download list upload_to_file_search_store".split(), _SEVERAL),
        refused={
            "google.genai.Client().live.connect": _WEBSOCKET,
            "google.genai.client.Client().live.connect": _WEBSOCKET,
        },
    ),
    _row(
        "google.generativeai",
        "embed_content embed_content_async list_models get_model upload_file get_file list_files delete_file"
        " generate_text generate_embeddings chat",
        _client(
            "google.generativeai.GenerativeModel google.generativeai.generative_models.GenerativeModel",
            "generate_content generate_content_async count_tokens count_tokens_async",
        ),
        _client(
            "google.generativeai.GenerativeModel().start_chat"
            " google.generativeai.generative_models.GenerativeModel().start_chat",
            "send_message send_message_async",
        ),
        calls=BOTH,
        own_retries=OFF,
    ),
    _row(
        "cohere",
        "",
        _client(
            "cohere.Client cohere.AsyncClient cohere.ClientV2 cohere.AsyncClientV2 cohere.AwsClient"
            " cohere.BedrockClient cohere.BedrockClientV2 cohere.SagemakerClient cohere.SagemakerClientV2"
            " cohere.OciClient cohere.OciClientV2",
            others="close wait",
            nested=True,
        ),
        calls=BOTH,
        own_retries=OFF,
    ),
    _row(
        "mistralai",
        "",
        _client(
            "mistralai.client.Mistral mistralai.Mistral mistralai.client.MistralClient"
            " mistralai.async_client.MistralAsyncClient mistralai.azure.client.MistralAzure"
            " mistralai.gcp.client.MistralGCP mistralai_azure.MistralAzure mistralai_gcp.MistralGoogleCloud",
            others="close",
            nested=True,
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=dict.fromkeys(
            "run_async run_stream_async".split(), "it makes several requests, and calls your functions"
        ),
        refused={
            "mistralai.client.Mistral().audio.realtime.connect": _WEBSOCKET,
            "mistralai.client.Mistral().audio.realtime.transcribe_stream": _WEBSOCKET,
        },
    ),
    _row(
        "ollama",
        "chat generate embed embeddings list pull push show create delete copy ps web_search web_fetch",
        _client("ollama.Client ollama.AsyncClient", others="close"),
        calls=BOTH,
    ),
    _row(
        "huggingface_hub",
        "",
        _client(
            "huggingface_hub.InferenceClient huggingface_hub.AsyncInferenceClient",
            others="get_recommended_model close headers.update headers.get cookies.update cookies.get exit_stack.close",
            nested=True,
        ),
        calls=BOTH,
    ),
    _row(
        "huggingface_hub",
        "hf_hub_download snapshot_download list_models list_datasets list_spaces list_repo_files list_repo_tree"
        " model_info dataset_info space_info repo_info repo_exists file_exists whoami get_paths_info"
        " get_hf_file_metadata upload_file upload_folder upload_large_folder create_commit create_repo delete_file"
        " delete_folder delete_repo",
        _client("huggingface_hub.HfApi huggingface_hub.hf_api.HfApi", others="run_as_future"),
        queued_only=dict.fromkeys(
            "list_models list_datasets list_spaces list_repo_files list_repo_tree list_repo_commits list_liked_repos"
            " hf_hub_download snapshot_download upload_file upload_folder upload_large_folder create_commit delete_file"
            " delete_files delete_folder preupload_lfs_files".split(),
            _SEVERAL,
        ),
    ),
    _row(
        "boto3",
        "",
        _client(
            "boto3.client boto3.session.Session().client boto3.Session().client"
            " botocore.session.get_session().create_client botocore.session.Session().create_client"
            " botocore.client.BaseClient boto3.DEFAULT_SESSION.client",
            others="can_paginate close get_paginator get_waiter generate_presigned_url generate_presigned_post",
        ),
        _client(
            "boto3.resource boto3.Session().resource boto3.session.Session().resource",
            "upload_file upload_fileobj download_file download_fileobj put get delete copy copy_from put_object"
            " get_item put_item update_item delete_item query scan batch_get_item send_message send_messages"
            " receive_messages delete_messages publish create delete_objects load reload create_bucket create_table"
            " create_queue get_queue_by_name",
            chained=True,
        ),
        own_retries=OFF,
        queued_only=_TRANSFERS,
        refused={
            "boto3.client().get_paginator().paginate": PAGES_LATER,
            "boto3.client().get_waiter().wait": _WAITER,
        },
    ),
    _row(
        "aioboto3",
        "",
        _client(
            "aioboto3.Session().client aioboto3.session.Session().client aiobotocore.session.get_session().create_client"
            " aiobotocore.session.AioSession().create_client",
            others="can_paginate close get_paginator get_waiter generate_presigned_url generate_presigned_post",
        ),
        calls=ASYNC,
        own_retries=OFF,
        queued_only=_TRANSFERS,
    ),
    _row(
        "litellm",
        "completion acompletion embedding aembedding text_completion atext_completion rerank arerank responses"
        " aresponses image_generation aimage_generation transcription atranscription speech aspeech moderation"
        " amoderation",
        _client(
            "litellm.Router litellm.router.Router",
            "completion acompletion embedding aembedding text_completion atext_completion aresponses rerank arerank"
            " image_generation aimage_generation transcription atranscription speech aspeech",
        ),
        calls=BOTH,
        own_retries=OFF,
        queued_only=dict.fromkeys(
            "embedding aembedding".split(),
            "litellm retries embeddings by itself; with litellm.DEFAULT_MAX_RETRIES = 0 it does not",
        ),
    ),
    _row(
        "instructor",
        "",
        _client(
            "instructor.from_openai instructor.from_anthropic instructor.from_groq instructor.from_mistral"
            " instructor.from_cohere instructor.from_gemini instructor.from_genai instructor.from_litellm"
            " instructor.from_provider instructor.patch instructor.apatch instructor.Instructor instructor.AsyncInstructor",
            "create create_partial create_iterable create_with_completion generate_content",
            nested=True,
        ),
        calls=BOTH,
        own_retries="it asks again up to max_retries times, in a loop of its own",
    ),
    *(
        _row(
            module,
            "",
            _client(
                _prefixed(module, classes),
                "invoke ainvoke stream astream batch abatch generate agenerate embed_query aembed_query embed_documents"
                " aembed_documents",
            ),
            calls=BOTH,
            own_retries="LangChain repeats requests max_retries times; the retries of its models are arguments of theirs",
        )
        for module, classes in (
            ("langchain_openai", "ChatOpenAI AzureChatOpenAI OpenAI OpenAIEmbeddings AzureOpenAIEmbeddings"),
            ("langchain_anthropic", "ChatAnthropic"),
            ("langchain_groq", "ChatGroq"),
            ("langchain_mistralai", "ChatMistralAI MistralAIEmbeddings"),
            ("langchain_google_genai", "ChatGoogleGenerativeAI GoogleGenerativeAIEmbeddings"),
        )
    ),
    # Stubs are recognised by their names: `some_pb2_grpc.SomeStub(channel).Method`.
    _row("grpc", "", calls=BOTH),
)

ADAPTERS = frozenset(
    name.partition("()")[0] for row in LIBRARIES for name, why in row.refused.items() if why == ADAPTER
)
"""Classes whose instances are inside a session, and send its requests."""

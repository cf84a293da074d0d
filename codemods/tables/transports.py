"""Libraries that send requests of any kind: HTTP clients, and gRPC."""

from __future__ import annotations

from .rows import ASYNC, BOTH, HTTP, OFF, WEBSOCKET, Library, client, prefixed, row

_TWO_CALLS = "the request and its answer are two calls; retrying one would not do"
ADAPTER = (
    "it is inside a transport of a session; the calls through the session are wrapped where they are made"
)


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


TRANSPORTS: tuple[Library, ...] = (
    row(
        "requests",
        HTTP + " " + prefixed("api", HTTP),
        client(
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
    row("requests_cache", "", client("requests_cache.CachedSession", HTTP + " send"), own_retries=OFF),
    row(
        "requests_oauthlib",
        "",
        client("requests_oauthlib.OAuth1Session requests_oauthlib.OAuth2Session", HTTP + " send fetch_token"),
        own_retries=OFF,
    ),
    row(
        "cloudscraper",
        "",
        client("cloudscraper.create_scraper cloudscraper.CloudScraper", HTTP + " send"),
        own_retries=OFF,
    ),
    row(
        "requests_toolbelt",
        "",
        client("requests_toolbelt.sessions.BaseUrlSession", HTTP + " send"),
        own_retries=OFF,
    ),
    row(
        "requests_ratelimiter",
        "",
        client("requests_ratelimiter.LimiterSession", HTTP + " send"),
        own_retries=OFF,
    ),
    row(
        "cachecontrol",
        "",
        client("cachecontrol.CacheControl cachecontrol.wrapper.CacheControl", HTTP + " send"),
        own_retries=OFF,
    ),
    row(
        "authlib.integrations.requests_client",
        "",
        client(
            prefixed("authlib.integrations.requests_client", "OAuth1Session OAuth2Session AssertionSession"),
            HTTP + " send",
        ),
        own_retries=OFF,
    ),
    row(
        "google.auth.transport.requests",
        "",
        client("google.auth.transport.requests.AuthorizedSession", HTTP + " send"),
        own_retries=OFF,
    ),
    row(
        "curl_cffi",
        prefixed("requests", HTTP) + " " + HTTP,
        client("curl_cffi.requests.Session curl_cffi.Session", HTTP),
        client("curl_cffi.requests.AsyncSession curl_cffi.AsyncSession", HTTP),
        calls=BOTH,
    ),
    row(
        "httpx",
        HTTP + " stream",
        client("httpx.Client httpx.AsyncClient", HTTP + " send stream"),
        calls=BOTH,
        refused=_transports_of("httpx"),
    ),
    # Clients that are used like those of httpx.
    row(
        "authlib.integrations.httpx_client",
        "",
        client(
            prefixed(
                "authlib.integrations.httpx_client",
                "OAuth1Client AsyncOAuth1Client OAuth2Client AsyncOAuth2Client",
            ),
            HTTP + " send stream",
        ),
        calls=BOTH,
    ),
    # A fork of httpx, which the SDKs of OpenAI, Anthropic, Mistral and Hugging Face have moved to.
    row(
        "httpx2",
        HTTP + " query stream",
        client("httpx2.Client httpx2.AsyncClient", HTTP + " query send sse stream"),
        calls=BOTH,
        refused={
            **_transports_of("httpx2"),
            "httpx2.websocket": WEBSOCKET,
            "httpx2.Client().websocket": WEBSOCKET,
            "httpx2.AsyncClient().websocket": WEBSOCKET,
        },
    ),
    row("httpx_sse", "connect_sse aconnect_sse", calls=BOTH),
    row(
        "aiohttp",
        "request",
        client("aiohttp.ClientSession aiohttp.client.ClientSession", HTTP + " _request"),
        calls=ASYNC,
        refused={"aiohttp.ClientSession().ws_connect": WEBSOCKET},
    ),
    row(
        "aiohttp_retry",
        "",
        client("aiohttp_retry.RetryClient", HTTP),
        calls=ASYNC,
        own_retries="give it ExponentialRetry(attempts=1)",
    ),
    row(
        "urllib3",
        "request",
        client(
            "urllib3.PoolManager urllib3.ProxyManager urllib3.poolmanager.PoolManager urllib3.HTTPConnectionPool"
            " urllib3.HTTPSConnectionPool urllib3.connection_from_url",
            "request urlopen request_encode_body request_encode_url",
        ),
        own_retries=OFF,
    ),
    row(
        "urllib.request",
        "urlopen urlretrieve",
        client("urllib.request.build_opener urllib.request.OpenerDirector", "open"),
    ),
    row("six.moves.urllib.request", "urlopen urlretrieve"),
    row(
        "http.client",
        "",
        refused={
            f"http.client.{kind}().{method}": _TWO_CALLS
            for kind in ("HTTPConnection", "HTTPSConnection")
            for method in ("request", "getresponse")
        },
    ),
    # Stubs are recognised by their names: `some_pb2_grpc.SomeStub(channel).Method`.
    row("grpc", "", calls=BOTH),
)

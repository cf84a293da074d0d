"""B3 and B4: reading statuses and delays out of whatever comes; nothing ever raises."""

from __future__ import annotations

import collections
import errno
import math
import types
import urllib.error
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http import HTTPStatus
from unittest.mock import AsyncMock, MagicMock, Mock

import botocore.exceptions
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_retrofit_runtime import QueueClosed, RequestTimeout
from backend_retrofit_runtime.failures import failure_in_exception, failure_in_result, is_final
from backend_retrofit_runtime.server_delay import backoff_delay, parse_retry_after, requested_delay
from test.runtime.conftest import Answer, Flaky

NOW = datetime.now(timezone.utc).replace(microsecond=0)
GARBAGE = [
    "9" * 5000, "Mon, 01 Jan 99999999999 00:00:00 GMT", "nan", "inf", "-inf", "-5", "1_0", "\u0661\u0662", "120, 120",
    "", "  ", "soon", "0x10", "1e3", "+5", "Mon, 99 Foo 2030 99:99:99 GMT", "Mon, 01 Jan 2035 00:00:00 +999999",
    None, MagicMock(), object(), math.nan, math.inf, -1, True, [], {}, b"\xff",
]  # fmt: skip


class Hostile:
    """Every attribute raises."""

    def __getattribute__(self, name):
        raise RuntimeError("do not touch")


@pytest.mark.parametrize(
    ("text", "seconds"), [("2", 2), (" 7 ", 7), ("0.5", 0.5), ("0", 0), (3, 3), (1.5, 1.5)]
)
def test_B4_seconds(text, seconds):
    assert parse_retry_after(text) == seconds


@pytest.mark.parametrize("value", GARBAGE, ids=range(len(GARBAGE)))
def test_B4_garbage_is_none(value):
    assert parse_retry_after(value) is None
    assert requested_delay({"Retry-After": value, "retry-after-ms": value, "RateLimit": value}) is None


@pytest.mark.parametrize(
    "form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
)
def test_B4_all_three_forms_of_an_http_date(form):
    moment = datetime.now(timezone.utc) + timedelta(hours=1)
    assert 3500 <= parse_retry_after(moment.strftime(form)) <= 3600


def test_B4_date_is_corrected_by_the_servers_clock():
    ahead = NOW + timedelta(days=3)
    until, date = (format_datetime(d, usegmt=True) for d in (ahead + timedelta(seconds=9), ahead))
    assert requested_delay({"Retry-After": until, "Date": date}) == (9, "Retry-After")


def test_B4_past_date_falls_back():
    past = format_datetime(NOW - timedelta(days=1), usegmt=True)
    assert parse_retry_after(past) == 0
    assert requested_delay({"Retry-After": past}) is None


def test_B4_order_of_the_sources():
    retry_info = {"error": {"details": [{"@type": "x"}, {"retryDelay": "33.5s"}]}}
    headers = {"RateLimit": '"p";r=0;t=44'}
    assert requested_delay(headers) == (44, "RateLimit")
    assert requested_delay(headers, retry_info) == (33.5, "RetryInfo")
    assert requested_delay(None, [retry_info]) == (33.5, "RetryInfo")
    headers["Retry-After"] = "22"
    assert requested_delay(headers, retry_info) == (22, "Retry-After")
    headers["Retry-After-Ms"] = "1500"
    assert requested_delay(headers, retry_info) == (1.5, "retry-after-ms")
    assert requested_delay({"ratelimit-remaining": "0", "ratelimit-reset": "5"}) == (5, "RateLimit-Reset")
    assert requested_delay({"RateLimit": '"p";r=10;t=44'}) is None


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()), st.one_of(st.none(), st.text())
)
@settings(max_examples=100, deadline=None)
def test_B4_parser_is_total(value, date):
    seconds = parse_retry_after(value, date)
    assert seconds is None or 0 <= seconds < math.inf


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["error", "details", "retryDelay", "code"]), inner)
        ),
    )
)
@settings(max_examples=60, deadline=None)
def test_B4_bodies_of_any_shape(body):
    requested_delay({}, body)
    is_final({}, body)


@pytest.mark.parametrize(
    "hostile",
    [MagicMock(), Mock(), AsyncMock(), object(), {}, {"ResponseMetadata": 5}, 429, "503", HTTPStatus.OK, [1]],
    ids=range(10),
)
def test_B3_whatever_is_returned_never_raises_and_is_no_failure(hostile):
    assert failure_in_result(hostile) is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, *range(520, 525), 529, 498])
def test_B2_retried_statuses(status):
    assert failure_in_result(Answer(status)).retry


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422, 501])
def test_B2_statuses_that_are_not_retried(status):
    assert not failure_in_result(Answer(status)).retry


@pytest.mark.parametrize(
    ("status", "word", "retry"), [(503, "false", False), (400, "true", True), (503, "maybe", True)]
)
def test_B2_x_should_retry_overrides(status, word, retry):
    assert failure_in_result(Answer(status, {"X-Should-Retry": word})).retry is retry


@pytest.mark.parametrize(
    "body", [{"error": {"code": "insufficient_quota"}}, {"error": {"type": "billing_hard_limit_reached"}}]
)
def test_B2_no_money_is_not_retried(body):
    assert not failure_in_result(Answer(429, body=body)).retry


def test_B3_response_is_never_truth_tested():
    response = requests.Response()
    response.status_code = 429
    response.headers["Retry-After"] = "3"
    assert not response
    failure = failure_in_result(response)
    assert failure.retry
    assert requested_delay(failure.headers) == (3, "Retry-After")


class WithStatus(Exception):
    def __init__(self, **attributes):
        super().__init__("failed")
        vars(self).update(attributes)


@pytest.mark.parametrize(
    "error",
    [
        WithStatus(status_code=503), WithStatus(status=503), WithStatus(code=503), WithStatus(response=Answer(503)),
        WithStatus(response={"ResponseMetadata": {"HTTPStatusCode": 503}}),
        WithStatus(response={"Error": {"Code": "SlowDown"}, "ResponseMetadata": {}}),
    ],
)  # fmt: skip
def test_B3_status_in_exceptions_by_shape(error):
    assert failure_in_exception(error).retry


def test_B3_cause_chain_and_cycles():
    outer, inner = ValueError("x"), WithStatus(status_code=503)
    outer.__cause__, inner.__cause__ = inner, outer
    assert failure_in_exception(outer).status == 503


@pytest.mark.parametrize(
    "error",
    [
        WithStatus(code="503"),
        WithStatus(status_code=MagicMock()),
        WithStatus(code=True),
        TypeError(),
        KeyError("x"),
        MemoryError(),
        WithStatus(response=MagicMock()),
        WithStatus(args=None),
    ],
)
def test_B2_what_is_no_evidence_is_not_retried(error):
    assert not failure_in_exception(error).retry


def test_B3_hostile_exception():
    class Awful(Exception):
        def __getattr__(self, name):
            raise RuntimeError("no")

        @property
        def response(self):
            raise RuntimeError("no")

    assert not failure_in_exception(Awful()).retry


def test_B3_exception_whose_every_attribute_raises():
    class Worst(Exception):
        def __getattribute__(self, name):
            raise RuntimeError("no")

    assert not failure_in_exception(Worst()).retry


@pytest.mark.parametrize("attribute", ["__notes__", "add_note"])
def test_B8_exception_that_takes_no_note_is_raised_all_the_same(api, attribute):
    error = type("Unwritable", (ConnectionRefusedError,), {attribute: 5})()
    api.max_retries = 1
    api.initial_retry_delay = 0
    with pytest.raises(type(error)) as raised:
        api.call(Flaky(error, error))
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        ConnectionRefusedError(),
        TimeoutError(),
        requests.ConnectionError(),
        requests.ReadTimeout(),
        requests.exceptions.ChunkedEncodingError(),
    ],
)
def test_B2_lost_connections_are_retried(error):
    assert failure_in_exception(error).retry


def test_B2_bad_certificate_is_not_retried():
    import ssl

    assert not failure_in_exception(requests.exceptions.SSLError(ssl.SSLCertVerificationError("bad"))).retry


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((1, 1, 2, 60), 1),
        ((5, 1, 2, 60), 16),
        ((7, 1, 2, 60), 60),
        ((10**6, 1, 2, 60), 60),
        ((5000, 1.5, 1.7, 60), 60),
        ((3, 0, 2, 60), 0),
        ((3, 4, 0.5, 60), 1),
    ],
)
def test_B1_backoff_delay(args, expected):
    assert backoff_delay(*args) == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ('"burst";r=5;t=10, "daily";r=0;t=3600', 3600),
        ('"burst";r=0;t=1, "daily";r=0;t=60', 60),
        ('"a, b;r=0;t=9";r=0;t=7', 7),
        ("limit=10, remaining=0, reset=30", 30),
        ("limit=10, remaining=1, reset=30", None),
        ('"default";r=0;t=0', None),
        ('"default";r=0', None),
    ],
)
def test_B4_rate_limit_of_several_policies(header, seconds):
    assert requested_delay({"RateLimit": header}) == (seconds and (seconds, "RateLimit"))


@pytest.mark.parametrize(
    "headers",
    [
        collections.OrderedDict({"Retry-After": "7"}),
        types.MappingProxyType({"Retry-After": "7"}),
        collections.UserDict({"RETRY-AFTER": "7"}),
        {"Retry-After": ["7"]},
        {b"Retry-After": b"7"},
    ],
    ids=["OrderedDict", "MappingProxyType", "UserDict", "a list of one", "bytes"],
)
def test_B4_headers_of_any_kind(headers):
    assert requested_delay(headers) == (7, "Retry-After")


def test_B4_retry_info_that_an_sdk_took_out_of_its_error():
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9s"}
    assert requested_delay({}, {"code": 429, "details": [detail]}) == (9, "RetryInfo")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "insufficient_quota"},
        {"detail": {"code": "insufficient_quota"}},
        [{"error": {"code": "insufficient_quota"}}],
        {"code": "insufficient_quota", "error": "You have no money."},
        {"type": "billing_hard_limit_reached"},
    ],
)
def test_B2_no_money_wherever_it_is_said(api, body):
    call = Flaky(Answer(429, body=body))
    assert api.call(call).status_code == 429
    assert call.calls == 1


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN])
def test_B2_no_way_to_the_host(api, number):
    get = Flaky(urllib.error.URLError(OSError(number, "no way")), OSError(number, "no way"))
    get.__name__ = "get"
    assert api.call(get) == "done"
    assert failure_in_exception(urllib.error.URLError(OSError(number, "no way"))).retry
    assert not failure_in_exception(OSError(errno.ENOSPC, "disk full")).retry


@pytest.mark.parametrize("kind", [RequestTimeout, QueueClosed])
def test_B2_an_error_of_the_queue_is_not_retried_in_whatever_it_is_wrapped(kind):
    class APIConnectionError(Exception):
        pass

    error = APIConnectionError("of another backend, say")
    error.__cause__ = kind("waited too long")
    assert not failure_in_exception(error).retry


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "TransactionInProgressException"])
def test_B2_what_botocore_would_have_retried_though_it_is_a_400(code):
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    error = botocore.exceptions.ClientError(response, "PutItem")
    assert failure_in_exception(error).retry


def test_B2_an_error_number_that_is_none_harms_nothing():
    assert not failure_in_exception(OSError({"not": "a number"}, "text")).retry


DATE = "Wed, 25 Nov 2026 20:00:00 GMT"
EPOCH = 1795636800  # the same moment


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        # OpenAI: the time until all is back; of what has some left, the reset says nothing.
        ({"x-ratelimit-remaining-requests": "499", "x-ratelimit-reset-requests": "120ms",
          "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "40s",
          "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12ms"}, 40),
        # Groq: requests are counted by the day.
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m12.5s"}, 72.5),
        # Azure: plain seconds.
        ({"x-ratelimit-remaining-tokens": 0, "x-ratelimit-reset-tokens": "55"}, 55),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        # Anthropic: RFC 3339, by the server's clock.
        ({"anthropic-ratelimit-requests-remaining": "9", "anthropic-ratelimit-requests-reset": "2026-11-25T21:00:00Z",
          "anthropic-ratelimit-output-tokens-remaining": "0", "anthropic-ratelimit-output-tokens-reset": "2026-11-25T20:00:07Z",
          "date": DATE}, 7),
        ({"anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2026-11-25T21:00:00.250+01:00",
          "date": DATE}, 0.25),
        # GitHub and GitLab: seconds since the epoch; others: seconds.
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 9), "date": DATE}, 9),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}, 9),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": str(EPOCH + 9), "Date": DATE}, 9),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((EPOCH + 9) * 1000), "date": DATE}, 9),
        # Something is left, or nothing sensible is said.
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "9"}, None),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "0"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH - 9), "date": DATE}, None),
    ],
    ids=range(14),
)  # fmt: skip
def test_B4_reset_headers_of_vendors(headers, seconds):
    asked = requested_delay(headers)
    assert (asked and asked[0]) == (seconds and pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (
            {
                "ok": False,
                "description": "Too Many Requests: retry after 2",
                "parameters": {"retry_after": 2},
            },
            2,
        ),
        ({"message": "You are being rate limited.", "retry_after": 0.65, "global": False}, 0.65),
        ({"error": {"message": "Rate limit reached for m. Please try again in 20s. Visit the docs."}}, 20),
        ({"error": {"message": "Please try again in 6m0s."}}, 360),
        ({"error": {"message": "Please try again in 1m12.5s."}}, 72.5),
        ({"error": {"message": "please try again in 86ms"}}, 0.086),
        ({"error": {"message": "Please retry after 26 seconds."}}, 26),
        ({"error": {"message": "Please retry in 33.25s."}}, 33.25),
        ({"error": "Try again in 2 minutes"}, 120),
        ({"detail": "Try again in 3 hours"}, 10800),
        ({"message": "try again in 2 weeks"}, 1209600),
        ([{"error": {"message": "try again in 5"}}], 5),
        ({"error": {"message": "try again later"}}, None),
        ({"error": {"message": "try again in 99999999999s"}}, None),
        ({"retry_after": True, "parameters": {"retry_after": "soon"}}, None),
        ({"retry_after": -3, "error": {"retry_after": math.nan}}, None),
        ({"error": {"message": "x" * 5000 + " try again in 5s"}}, None),
    ],
    ids=range(17),
)
def test_B4_waits_in_bodies(body, seconds):
    asked = requested_delay({}, body)
    assert (asked and asked[0]) == (seconds and pytest.approx(seconds))


def test_B4_a_header_is_heard_before_a_body():
    body = {"retry_after": 5, "error": {"message": "try again in 7s"}}
    assert requested_delay({"Retry-After": "3"}, body) == (3, "Retry-After")
    assert requested_delay({}, body) == (5, "retry_after in the body")


@given(
    st.dictionaries(
        st.sampled_from([
            "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
            "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset", "date", "ratelimit-reset",
        ]),
        st.one_of(st.text(), st.sampled_from(["0", "2026-13-45T99:99:99Z", "9" * 400, "1h" * 50, "0.0", DATE]), st.integers()),
    ),
    st.one_of(st.none(), st.dictionaries(st.sampled_from(["message", "retry_after", "error"]), st.text() | st.floats())),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_B4_reading_delays_is_total(headers, body):
    asked = requested_delay(headers, body)
    assert asked is None or 0 < asked[0] < math.inf


DAILY = {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
         "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}  # fmt: skip
MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}


@pytest.mark.parametrize(
    ("body", "final"),
    [
        ({"error": {"code": 429, "details": [DAILY, {"retryDelay": "33s"}]}}, True),
        ({"error": {"code": 429, "details": [MINUTE, {"retryDelay": "33s"}]}}, False),
        (
            {
                "error": {
                    "message": "Request too large for m on tokens per min (TPM): Limit 30000, Requested 40000."
                }
            },
            True,
        ),
        (
            {
                "error": {
                    "message": "Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 29000"
                }
            },
            False,
        ),
        (
            {
                "error": {
                    "message": "Rate limit reached for m on requests per day (RPD): Limit 200, Used 200."
                }
            },
            True,
        ),
        (
            {"error": {"message": "Rate limit reached on requests per day (RPD). Please try again in 7.2s."}},
            False,
        ),
        ({"message": "You use a trial key, which is limited to 1000 API calls / month."}, True),
        ({"message": "Too many tokens per day, please wait before trying again."}, True),
        ({"message": "Limits: 60 requests per minute, 1000 per day"}, False),
        ({"error": {"type": "exceeded_current_quota_error"}}, True),
        ({"error": {"code": "1113", "message": "no balance"}}, True),
        ({"error": {"message": "Insufficient balance"}}, True),
        ({"error": {"message": "Your credit balance is too low to access the API"}}, True),
        (
            {
                "error": {
                    "message": "You exceeded your current quota, please check your plan and billing details."
                }
            },
            False,
        ),
        ({"error": {"message": "slow down"}}, False),
    ],
    ids=range(15),
)
def test_B15_what_no_waiting_helps_is_final(body, final):
    assert is_final({}, body) is final
    assert failure_in_result(Answer(429, body=body)).retry is not final


def test_B15_botocore_says_it_in_its_error():
    for message, retry in (("Too many tokens per day, please wait.", False), ("Rate exceeded", True)):
        error = {"Code": "ThrottlingException", "Message": message}
        failure = failure_in_result({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 429}})
        assert failure.retry is retry


@pytest.mark.parametrize(
    ("headers", "body", "retry"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}, {}, True),
        ({"Retry-After": "9"}, {}, True),
        ({}, {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}, True),
        (
            {"x-ratelimit-remaining": "4711", "x-ratelimit-reset": "9"},
            {"message": "Resource not accessible"},
            False,
        ),
        ({}, None, False),
    ],
    ids=range(5),
)
def test_B4_a_403_that_stands_for_a_rate_limit(headers, body, retry):
    assert failure_in_result(Answer(403, headers, body=body)).retry is retry

"""`# retrofit: skip` and `# retrofit: no-retry` beside a call, a method or a class."""

from __future__ import annotations

import pytest

from ..check import check_noop, check_sites, check_transformed, planned
from ..running import load

SKIP, NO_RETRY = "# retrofit: skip", "# retrofit: no-retry"

PLACES = {
    "the call": "class C:\n    def go(self, url):\n        return requests.get(url)  {}\n",
    "the line above": "class C:\n    def go(self, url):\n        {}\n        return requests.get(url)\n",
    "the end of a long call": "class C:\n    def go(self, url):\n        return requests.get(\n            url,\n        )  {}\n",
    "the beginning of a long call": "class C:\n    def go(self, url):\n        return requests.get(  {}\n            url,\n        )\n",
    "the end of its statement": "class C:\n    def go(self, url):\n        return self.of(\n            requests.get(url),\n            1,\n        )  {}\n",
    "a with": "class C:\n    def go(self, url):\n        with requests.get(url, stream=True) as answer:  {}\n            return answer\n",
    "the line above an if": "class C:\n    def go(self, url):\n        {}\n        if requests.get(url).ok:\n            return 1\n",
    "what is handed on": "class C:\n    def go(self, pool, url):\n        return pool.submit(\n            requests.get,\n            url,\n        )  {}\n",
    "the method": "class C:\n    def go(self, url):  {}\n        return requests.get(url)\n",
    "a long head": "class C:\n    def go(\n        self,\n        url,\n    ):  {}\n        return requests.get(url)\n",
    "the line above a method": "class C:\n    {}\n    def go(self, url):\n        return requests.get(url)\n",
    "a decorated method": "class C:\n    @cached  {}\n    def go(self, url):\n        return requests.get(url)\n",
    "the method around a function": "class C:\n    def go(self, url):  {}\n        def inner():\n            return requests.get(url)\n        return inner()\n",
    "the class": "class C:  {}\n    def go(self, url):\n        return requests.get(url)\n",
    "the line above a class": "{}\nclass C:\n    def go(self, url):\n        return requests.get(url)\n",
    "another comment": "class C:\n    def go(self, url):\n        return requests.get(url)  # noqa: S113  {}\n",
    "a text that another comment is in": "class C:\n    def go(self):\n        return requests.get(\n            'a'  # noqa  {}\n            'b',\n        )\n",
    "a coroutine": "class C:\n    async def go(self, url):\n        return await httpx.AsyncClient().get(url)  {}\n",
}
ELSEWHERE = {
    "another call": "class C:\n    def go(self, url):\n        requests.head(url)  {}\n        return requests.get(url)\n",
    "another part of a list": "class C:\n    def go(self, url):\n        return [\n            requests.head(url),  {}\n            requests.get(url),\n        ]\n",
    "another method": "class C:\n    def stop(self, url):  {}\n        requests.head(url)\n\n    def go(self, url):\n        return requests.get(url)\n",
    "the end of the body": "class C:\n    def go(self, url):\n        answer = requests.get(url)\n        return answer  {}\n",
    "a text": "class C:\n    def go(self, url):\n        return requests.get(url, data='{}')\n",
    "an f-string": "class C:\n    def go(self, url):\n        return requests.get(url, data=f'{}')\n",
    "two lines above": "class C:\n    def go(self, url):\n        {}\n\n        return requests.get(url)\n",
}


def code(place: str, comment: str) -> str:
    return "import httpx\nimport requests\n\n\n" + place.replace("{}", comment)


@pytest.mark.parametrize("place", PLACES)
def test_C11_skip_leaves_it_as_it_is_and_lists_it_with_the_reason(place):
    plan = check_noop(code(PLACES[place], SKIP))
    (site,) = plan.sites
    assert (site.decision.value, site.reason) == ("skipped", "`# retrofit: skip` is written there")


@pytest.mark.parametrize("place", PLACES)
def test_C11_no_retry_queues_it_without_a_backoff(place):
    plan = check_transformed(code(PLACES[place], NO_RETRY), ", retry=False)")
    (site,) = plan.sites
    assert (site.decision.value, site.reason) == ("queued only", "`# retrofit: no-retry` is written there")


@pytest.mark.parametrize("place", ELSEWHERE)
def test_C11_a_comment_elsewhere_says_nothing_of_a_call(place):
    plan = check_transformed(code(ELSEWHERE[place], SKIP), "self._queued(requests.get)(")
    assert [s.decision.value for s in plan.sites if s.callee == "requests.get"] == ["wrapped"]


def test_C11_skip_wins_over_no_retry_and_the_call_over_nothing():
    method = "class C:\n    def go(self, url):  # retrofit: no-retry\n        requests.head(url)  # retrofit: skip\n        requests.get(url)\n"
    check_sites(code(method, ""), "skipped requests.head", "queued only requests.get")


def test_C11_a_call_with_no_retry_is_sent_once(tmp_path):
    from ...loopback import LoopbackServer, Reply

    with LoopbackServer() as server:
        made = load(code(PLACES["the call"], NO_RETRY)).C()
        server.script(Reply(503), Reply(200))
        assert made.go(server.url).status_code == 503
        assert len(server.requests) == 1


def test_C11_skip_that_comes_later_takes_the_wrap_out():
    wrapped = planned(code(PLACES["the call"], "").replace("  \n", "\n")).after.decode()
    later = wrapped.replace("(requests.get)(url)", "(requests.get)(url)  # retrofit: skip")
    plan = planned(later)
    assert "return requests.get(url)  # retrofit: skip" in plan.after.decode()
    assert [site.decision.value for site in plan.sites] == ["unwrapped"]
    assert not planned(plan.after).changed


@pytest.mark.parametrize("broken", [False, True])
def test_C11_no_retry_that_comes_later_takes_the_backoff_away(broken):
    wrapped = planned(code(PLACES["the call"], "").replace("  \n", "\n")).after.decode()
    callee = "(\n            requests.get,\n        )" if broken else "(requests.get)"
    later = wrapped.replace("(requests.get)(url)", f"{callee}(url)  # retrofit: no-retry")
    plan = planned(later)
    assert "retry=False" in plan.after.decode()
    assert [site.decision.value for site in plan.sites] == ["queued only"]
    assert not planned(plan.after).changed


def test_C11_no_retry_without_a_queue_is_left_alone():
    check_sites(code(PLACES["the call"], NO_RETRY), "skipped requests.get", blocks=("backoff",))


def test_no_retry_stays_where_existing_retries_are_to_be_wrapped():
    check_sites(code(PLACES["the call"], NO_RETRY), "queued only requests.get", existing="wrap")


def test_a_comment_that_says_nothing_is_told_of():
    plan = planned(code(PLACES["the call"], "# retrofit: skpi"))
    notes = [note for cls in plan.classes for note in cls.notes]
    assert any("`# retrofit: skpi` says nothing to this tool" in note for note in notes)


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_do_not_matter(newline):
    data = code(PLACES["the call"], SKIP).replace("\n", newline).encode()
    assert [site.decision.value for site in planned(data).sites] == ["skipped"]

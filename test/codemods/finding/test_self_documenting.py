"""A call whose text an f-string shows is left as it is, and told; the others of the file are wrapped."""

from __future__ import annotations

import pytest

from ..check import check_sites, check_transformed, method


@pytest.mark.parametrize(
    "shown",
    [
        'f"{requests.get(url)=}"',
        'f"{requests.get(url) = }"',
        'f"{requests.get(url)=!s}"',
        'f"{requests.get(url)=:>10}"',
        'f"{(requests.get(url))=}"',
        'f"{requests.get(url).text=}"',
        'f"{len(requests.get(url).text)=}"',
        'f"""\n    {url} and {requests.get(url)=}"""',
    ],
)
def test_C6_only_the_call_that_is_shown_is_left(shown):
    plan = check_sites(
        method(f"print({shown})\nreturn requests.get(url)"), "skipped requests.get", "wrapped requests.get"
    )
    assert plan.sites[0].reason == 'an f-string shows its text (`f"{...=}"`), which would change'


@pytest.mark.parametrize(
    "written",
    [
        'f"{requests.get(url)}"',
        'f"requests.get(url)={requests.get(url)}"',
        'f"{requests.get(url) != 1}"',
        'f"{requests.get(url)!r:=>10}"',
        'f"{requests.get(url)}={url}"',
        'f"{requests.get(url, params={url: 1})}"',
    ],
)
def test_a_call_whose_value_alone_is_shown_is_wrapped(written):
    check_transformed(method(f"return {written}"), "self._queued(requests.get)(url")


def test_C6_a_whole_file_is_not_left_alone_for_it_with_functions_either():
    plan = check_sites(
        'import requests\n\nprint(f"{requests.get(1)=}")\n',
        "skipped requests.get",
        blocks=("queue", "functions"),
    )
    assert not plan.problems

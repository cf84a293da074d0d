"""Wraps around calls: before and after (C1)."""

import pytest

from backend_retrofit.codemods.blocks.removal import strip
from backend_retrofit.codemods.injection.wrap_calls import Rewrap, Wrap, WrapCalls

from .transforming import check_transformed, transformed


def wrap(*parts: str, **options):
    """Return what makes a transformer that wraps each of the parts, which a text has once."""

    def for_text(text):
        spans = [(text.index(part), text.index(part) + len(part)) for part in parts]
        changes = [Wrap(span, "self", "_queued", **options) for span in spans]
        return lambda source, numbers, module: WrapCalls(source, numbers, changes)

    return for_text


def check(before: str, after: str, *parts: str, **options) -> None:
    """Assert what becomes of the statements of a method."""
    head = "class Client:\n    def call(self, url):\n        "
    indented = [head + text.replace("\n", "\n        ") + "\n" for text in (before, after)]
    check_transformed(*indented, wrap(*parts, **options))


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ("return get(url)", "return self._queued(get)(url)", "get"),
        ("return a.b.get(url).json()", "return self._queued(a.b.get)(url).json()", "a.b.get"),
        ("(a.get)(url)", "(self._queued(a.get))(url)", "a.get"),
        ("(\n    a  # why\n    .get\n)(url)", "(\n    self._queued(a  # why\n    .get)\n)(url)", "a  # why\n            .get"),
        ("pool.submit(a.get, url)", "pool.submit(self._queued(a.get), url)", "a.get"),
        ("getattr(a, 'get')(url)", "self._queued(getattr(a, 'get'))(url)", "getattr(a, 'get')"),
        ("x = 1; get(url); y = 2", "x = 1; self._queued(get)(url); y = 2", "get"),
        ("if url: get(url); url = 1", "if url: self._queued(get)(url); url = 1", "get"),
        ("with get(url) as x:\n    pass", "with self._queued(get)(url) as x:\n    pass", "get"),
        ("for x in get(url):\n    pass", "for x in self._queued(get)(url):\n    pass", "get"),
        ("if a:\n    pass\nelif get(url):\n    pass", "if a:\n    pass\nelif self._queued(get)(url):\n    pass", "get"),
        ("try:\n    a\nfinally:\n    get(url)", "try:\n    a\nfinally:\n    self._queued(get)(url)", "get"),
        ("x = '''\n  a\n''', get(url)", "x = '''\n  a\n''', self._queued(get)(url)", "get"),
        ("x = 'é', get(url)", "x = 'é', self._queued(get)(url)", "get"),
        ("def g():\n    return get(url)", "def g():\n    return self._queued(get)(url)", "get"),
        ("class A:\n    def f(s): return get(url)", "class A:\n    def f(s): return self._queued(get)(url)", "get"),
        ("@deco(get)\ndef f():\n    pass", "@deco(self._queued(get))\ndef f():\n    pass", "get"),
        ('f"é {get(url)!r} {url}"', 'f"é {self._queued(get)(url)!r} {url}"', "get"),
        ("{**get(url)}, url[get_it(url):]", "{**get(url)}, url[self._queued(get_it)(url):]", "get_it"),
        ("yield[x for x in x if(get)(x)]", "yield[x for x in x if(self._queued(get))(x)]", "get"),
        ("x = \\\n  get(url)", "x = \\\n  self._queued(get)(url)", "get"),
    ],
)  # fmt: skip
def test_a_call_is_wrapped_and_all_else_stays(before, after, part):
    head = "class Client:\n    def call(self, url):\n        "
    before, after = (head + text.replace("\n", "\n        ") + "\n" for text in (before, after))
    assert transformed(before, wrap(part)(before)) == after


def test_a_method_that_is_kept_is_wrapped():
    """Without the block that defines it, nothing tells that the wrap is ours, so it could not be taken out here."""
    before = "class Client:\n    def call(self):\n        return {'get': a.get}\n"
    after = "class Client:\n    def call(self):\n        return {'get': self._queued(a.get)}\n"
    assert transformed(before, wrap("a.get")(before), removed=after) == after


def test_calls_of_one_statement_are_wrapped_each():
    check(
        "return {get(url): post(url, data=head(url))}",
        "return {self._queued(get)(url): self._queued(post)(url, data=self._queued(head)(url))}",
        "get",
        "post",
        "head",
    )


def test_a_call_that_is_retried_already_is_queued_only():
    check("return get(url)", "return self._queued(get, retry=False)(url)", "get", retry=False)


def test_a_wrap_directly_behind_a_keyword_has_brackets_of_its_own():
    check(
        "return(a or b).get(url)",
        "return(self._queued)((a or b).get)(url)",
        "(a or b).get",
        after_a_word=True,
    )


def rewrap(wrapped: str, **options):
    """Return what makes a transformer that changes a wrap."""

    def for_text(text):
        part = wrapped.replace("\n", "\r\n") if "\r" in text else wrapped
        part = part.replace("    ", "\t") if "\t" in text else part
        start = text.index(part)
        change = Rewrap((start, start + len(part)), "self", "_queued", **options)
        return lambda source, numbers, module: WrapCalls(source, numbers, [change])

    return for_text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("self._retried(get)", "self._queued(get{})"),
        (
            "self._retried(  # why\n            get\n        )",
            "self._queued(  # why\n            get{}\n        )",
        ),
        ("self._retried(\n            get,\n        )", "self._queued(\n            get{},\n        )"),
        ("self._retried((a or b).get)", "self._queued((a or b).get{})"),
    ],
)
@pytest.mark.parametrize("retry", [True, False])
def test_a_wrap_goes_through_another_entry_point(before, after, retry):
    head = "class Client:\n    def call(self, url):\n        return "
    after = after.format("" if retry else ", retry=False")
    text, wanted = f"{head}{before}(url)\n", f"{head}{after}(url)\n"
    plain = strip(text.encode()).decode()
    assert "_retried" not in plain
    check_transformed(text, wanted, rewrap(before, retry=retry), plain)


def test_the_place_of_a_call_is_that_in_the_text_however_the_file_is_laid_out():
    check_transformed(
        """
        import a


        if a:
            x = 1
        else:
            @deco
            class Client:
                '''Doc.'''

                class Inner:
                    def call(self):
                        get()

                async def call(self, url):
                    try:
                        a; get_it(url)
                    except a.Error as error:
                        match error:
                            case 1:
                                pass
                            case x if (
                                x
                                and post(url)
                            ):
                                return lambda: put(url)
        """,
        """
        import a


        if a:
            x = 1
        else:
            @deco
            class Client:
                '''Doc.'''

                class Inner:
                    def call(self):
                        get()

                async def call(self, url):
                    try:
                        a; self._queued(get_it)(url)
                    except a.Error as error:
                        match error:
                            case 1:
                                pass
                            case x if (
                                x
                                and self._queued(post)(url)
                            ):
                                return lambda: self._queued(put)(url)
        """,
        wrap("get_it", "post", "put"),
    )


def test_what_is_not_there_is_not_guessed():
    text = "class Client:\n    def call(self, url):\n        return get(url)\n"
    with pytest.raises(LookupError):
        transformed(
            text,
            lambda source, numbers, module: WrapCalls(source, numbers, [Wrap((51, 53), "self", "_queued")]),
        )

"""The runtime in a file of its own: before and after."""

import pytest

from backend_retrofit.codemods.injection.add_runtime import AddRuntime, NewRuntime

from .transforming import check_transformed

LINES = ("# >>> retrofit:runtime v1 0123456789", "def f():", "    return 1", "# <<< retrofit:runtime")
BLOCK = "\n".join(LINES)


def add(beside: str):
    """Return what makes a transformer that adds the runtime above a statement."""

    def for_text(text):
        newline = "\r\n" if "\r\n" in text else "\n"
        unit = "\t" if "\t" in text else "    "
        lines = tuple(line.replace("    ", unit) for line in LINES)
        new = NewRuntime(lines, text.index(beside), newline)
        return lambda source, numbers, module: AddRuntime(new, numbers.in_module(new.beside))

    return for_text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("class A:\n    pass\n", f"{BLOCK}\n\n\nclass A:\n    pass\n"),
        ("# head\nclass A:\n    pass\n", f"# head\n\n\n{BLOCK}\nclass A:\n    pass\n"),
        (
            "import a\n\n\n# of A\nclass A:\n    pass\n",
            f"import a\n\n\n{BLOCK}\n\n\n# of A\nclass A:\n    pass\n",
        ),
        ("import a\nif a:\n    class A:\n        pass\n", None),
    ],
)
def test_the_runtime_stands_above_the_first_class_that_needs_it(before, after):
    if after is None:
        check_transformed(before, f"import a\n\n\n{BLOCK}\nif a:\n    class A:\n        pass\n", add("if a"))
    else:
        check_transformed(before, after, add("class A"))

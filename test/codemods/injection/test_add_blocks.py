"""Blocks at the end of classes: before and after (C1, C2)."""

import pytest

from backend_retrofit.codemods.injection.add_blocks import AddBlocks, NewBlocks

from .transforming import check_transformed, dedented, transformed

BLOCK = (
    "# >>> retrofit:queue v1 0123456789",
    "x = 1",
    "",
    "def f(self):",
    '    """Doc',
    "",
    '    more."""',
    "    return 1",
    "# <<< retrofit:queue",
)


def add(*names: str):
    """Return what makes a transformer that adds a block to each class of these names."""

    def for_text(text):
        unit = "\t" if "\t" in text else "    "
        newline = "\r\n" if "\r\n" in text else "\n"

        def transform(source, numbers, module):
            blocks = {}
            for name in names:
                start = text.index(f"class {name}")
                indent = unit * (text[:start].rpartition("\n")[2].count(unit) + 1)
                lines = ["", *(indent + line.replace("    ", unit) if line else "" for line in BLOCK)]
                blocks[numbers.way_to(start)[0]] = NewBlocks(start, (tuple(lines),), newline)
            return AddBlocks(blocks, module)

        return transform

    return for_text


def test_a_block_goes_behind_the_last_method():
    check_transformed(
        """
        class A:
            def g(self):
                pass


        y = 1
        """,
        '''
        class A:
            def g(self):
                pass

            # >>> retrofit:queue v1 0123456789
            x = 1

            def f(self):
                """Doc

                more."""
                return 1
            # <<< retrofit:queue


        y = 1
        ''',
        add("A"),
    )


def test_comments_of_the_class_stay_above_a_block_and_those_behind_it_below():
    check_transformed(
        """
        class A:
            pass
            # of the class

            # too

        # of the module
        """,
        '''
        class A:
            pass
            # of the class

            # too

            # >>> retrofit:queue v1 0123456789
            x = 1

            def f(self):
                """Doc

                more."""
                return 1
            # <<< retrofit:queue

        # of the module
        ''',
        add("A"),
    )


def test_a_class_inside_another_gets_a_block_and_so_does_the_other():
    check_transformed(
        """
        if True:
            class A:
                class B:
                    pass
        """,
        '''
        if True:
            class A:
                class B:
                    pass

                    # >>> retrofit:queue v1 0123456789
                    x = 1

                    def f(self):
                        """Doc

                        more."""
                        return 1
                    # <<< retrofit:queue

                # >>> retrofit:queue v1 0123456789
                x = 1

                def f(self):
                    """Doc

                    more."""
                    return 1
                # <<< retrofit:queue
        ''',
        add("A", "B"),
    )


def test_a_block_keeps_its_own_indentation_in_a_file_that_has_another():
    text = dedented("""
        def g():
          pass
        class A:
            pass
        """)
    assert (
        '\n    def f(self):\n        """Doc\n\n        more."""\n        return 1\n    # <<< retrofit:queue\n'
        in transformed(text, add("A")(text))
    )


@pytest.mark.parametrize("first", ["\n", "\r\n"])
def test_a_block_has_the_line_ends_that_are_asked_for(first):
    text = f"import a{first}class A:\r\n    pass\r\n"
    after = transformed(text, add("A")(text))
    assert after.startswith(text)
    assert after[len(text) :].count("\n") == after[len(text) :].count("\r\n") == len(BLOCK) + 1

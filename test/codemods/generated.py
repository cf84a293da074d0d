"""Hypothesis strategies for files with client classes, in every layout that people's editors leave behind."""

from __future__ import annotations

from hypothesis import strategies as st

HEADS = [
    "",
    "#!/usr/bin/env python\n",
    '"""A docstring."""\n',
    '"""Of several\n\nlines, with `retrofit:` in it.\n"""\n\nfrom __future__ import annotations\n',
    "# A comment first.\n\n",
    "'one' 'and another'\n",
    "\n\n",
]
IMPORTS = [
    "import requests\n",
    "import os, sys\nimport requests\n\nimport json\n",
    "import requests as r\nfrom requests import (\n    get,  # the usual\n    post,\n)\n",
    "try:\n    import requests\nexcept ImportError:  # pragma: no cover\n    requests = None\n",
    "import sys; import requests\n",
    "if True:\n    import requests\nelse:\n    requests = None\nimport zlib\n",
    "import json\n\nCONSTANT = {\n    'a': 1,\n}\n\nimport requests  # late\n",
]
CLASSES = [
    "class Client:\n",
    "class Client(object):\n    '''A docstring.'''\n\n",
    "@decorator\n@other(1)\nclass Client(Base, metaclass=Meta):\n    # comment first\n",
    'class Client:\n    """Several\n    lines.\n\n      - indented\n    """\n    limit: int = 5\n    max_retries = 7\n',
    "class Client:\n    def __init__(self, api_key=None, url='x'):\n        self.api_key = api_key\n        if url:\n            return\n\n",
    "class Client:\n    def close(self):\n        pass\n\n    async def __aenter__(self):\n        return self\n",
    "class Client:\n    def __enter__(self): return self\n    def __exit__(self, *e): pass\n",
]
METHODS = [
    "    def {n}(self, url):\n        return requests.get(url)\n",
    "    def {n}(self, url):  # does it\n        return requests.post(\n            url,\n            json={'a': [1, 2]},  # body\n            timeout=5\n        )\n",
    "    def {n}(self, url, *, a=1):\n        response = requests.request('GET', url); x = 1\n        return response.json()['a'][0]\n",
    "    def {n}(self, url):\n        with requests.Session() as session:\n            return (session\n                    .get(url)\n                    .json())\n",
    "    def {n}(self, url):\n        return requests \\\n            .get(url)\n",
    "    @property\n    def {n}(self):\n        '''Doc.'''\n        for _ in range(3):\n            yield (requests.get)('http://127.0.0.1/')\n",
    "    @classmethod\n    def {n}(cls, url):\n        return [requests.put(u, data=b'x') for u in url if u]\n",
    "    async def {n}(self, url):\n        async def inner():\n            return await run(requests.get, url)\n        return await inner()\n",
    "    def {n}(self, first_rather_long_name, second_rather_long_name):\n        return requests.Session().get(first_rather_long_name + second_rather_long_name, headers=dict(a=1, b=2)).json().get('something')\n",
    "    def {n}(self, url):\n        return (requests.get if url else requests.post)(url)\n",
    "    def {n}(self, url):\n        text = f'{{requests.get(url)}} {{url!r}}'\n        return text, '''\n# >>> retrofit:queue v1 0123456789\n'''\n",
    "    {n} = staticmethod(lambda url: requests.get(url))\n",
    "    def {n}(self): return requests.delete('x')\n",
    "    def {n}(self, url):\n        import requests.sessions\n        # a comment before\n        return requests.head(url)  # and behind\n        # and below\n",
    "    class Inner{n}:\n        def call(self):\n            return requests.get('x')\n",
    "    def {n}(self, other):\n        return other.send_it(requests.post, url=1)(2)\n",
]
BETWEEN = ["", "\n", "\n\n", "    # between\n", "\n    x = 1\n\n", "\n    if True:\n        y = 2\n"]
TAILS = [
    "",
    "\n",
    "\n\n\n",
    "    # the last comment\n",
    "\n    # the last comment\n\n\n# and one of the module\n",
    "\n\nif __name__ == '__main__':\n    Client()\n",
    "\n\ndef function():\n    return requests.get('x')\n",
    "x = 1\n",
    "  \n    \n",
    "\n\n\nclass Sub(Client):\n    def own(self):\n        return requests.get('y')\n",
    "\n\n@decorator\ndef f(): pass\n# end",
]


@st.composite
def sources(draw: st.DrawFn) -> str:
    """Draw the text of a file, with line feeds and four spaces."""
    parts = [
        draw(st.sampled_from(HEADS)),
        draw(st.sampled_from(IMPORTS)),
        draw(st.sampled_from(["", "\n\n"])),
    ]
    for number in range(draw(st.integers(1, 2))):
        text = draw(st.sampled_from(CLASSES)).replace("Client", f"Client{number or ''}")
        for method in range(draw(st.integers(1, 3))):
            text += (
                draw(st.sampled_from(METHODS))
                .replace("{n}", f"m{method}")
                .replace("{{", "{")
                .replace("}}", "}")
            )
            text += draw(st.sampled_from(BETWEEN))
        if draw(st.booleans()) and number:
            text = "if True:\n" + "".join(f"    {line}" for line in text.splitlines(keepends=True))
        parts += [text, draw(st.sampled_from(["", "\n\n"]))]
    return "".join([*parts, draw(st.sampled_from(TAILS))])


@st.composite
def layouts(draw: st.DrawFn, text: str) -> bytes:
    """Draw the bytes of a file with that text: its line ends, indentation, encoding and last line vary."""
    unit = draw(st.sampled_from(["    ", "  ", "\t", "        "]))
    lines = []
    for line in text.split("\n"):
        body = line.lstrip(" ")
        depth, rest = divmod(len(line) - len(body), 4)
        lines.append(unit * depth + " " * rest + body)
    newline = draw(st.sampled_from(["\n", "\r\n", "\r", "mixed"]))
    if newline == "mixed":
        ends = draw(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=1, max_size=4))
        text = "".join(line + ends[index % len(ends)] for index, line in enumerate(lines[:-1])) + lines[-1]
    else:
        text = newline.join(lines)
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "latin-1", "cp1252"]))
    if encoding in ("latin-1", "cp1252"):
        first = "#!/usr/bin/env python" in text
        head, newline_, rest = text.partition("\n" if "\n" in text else "\r") if first else ("", "", text)
        text = f"{head}{newline_}# -*- coding: {encoding} -*- \u00e4\u00f6\n{rest}"
    elif draw(st.booleans()):
        text = text.replace("'x'", "'\u4e2d\U0001f600'")
    return text.encode(encoding)

"""Whose key a class gets: what it reads itself, its vendor's, one called after it, or none."""

from __future__ import annotations

import re

import pytest

from backend_retrofit.codemods.model import FilePlan

from ...loopback import LoopbackServer
from ..check import check_transformed, planned
from ..disk.folders import plans
from ..running import load

GET = "    def get(self, url):\n        return requests.get(url, headers={'X-Key': self.api_key})\n"


def source(
    name: str = "WeatherClient",
    assigned: str = "api_key",
    before: str = "",
    methods: str = "",
    parameter: str = "api_key=None",
    imports: str = "import os\n\nimport requests",
) -> str:
    return (
        f"{imports}\n{before}\n\nclass {name}:\n    def __init__(self, {parameter}):\n        self.api_key = {assigned}\n\n"
        f"{methods}{GET}"
    )


def variables(plan: FilePlan) -> tuple[str, ...]:
    (cls,) = plan.classes
    return cls.key_variables


def why_not(plan: FilePlan) -> str:
    (cls,) = plan.classes
    (reason,) = [b.reason for b in cls.blocks if b.block == "env_key" and b.change == "skipped"]
    assert b"retrofit:env_key" not in plan.after
    return reason


# K6: the class's own variable.

OWN = {
    "os.getenv": source(assigned="api_key or os.getenv('BRAVE_KEY')"),
    "os.environ.get": source(assigned="os.environ.get('BRAVE_KEY', '') if api_key is None else api_key"),
    "os.environ[]": source(assigned="api_key or os.environ['BRAVE_KEY']"),
    "getenv": source(
        assigned="api_key or getenv('BRAVE_KEY')", imports="from os import getenv\nimport requests"
    ),
    "a method": source(
        assigned="self.get_api_key()",
        methods="    def get_api_key(self):\n        return os.environ.get('BRAVE_KEY', '')\n\n",
    ),
    "a method that calls another": source(
        assigned="api_key or self._key()",
        methods="    def _key(self):\n        return self._env()\n\n    @staticmethod\n    def _env():\n"
        "        return os.getenv('BRAVE_KEY')\n\n",
    ),
    "a function of the file": source(
        assigned="api_key or find_key()", before="\n\ndef find_key():\n    return os.getenv('BRAVE_KEY')\n"
    ),
    "a constant of the file": source(assigned="api_key or KEY", before="\nKEY = os.getenv('BRAVE_KEY')\n"),
    "a default": source(parameter="api_key=os.getenv('BRAVE_KEY')"),
    "a default that is a constant": source(
        parameter="api_key=KEY", before="\nKEY = os.getenv('BRAVE_KEY')\n"
    ),
    "a helper of a framework": source(assigned="get_from_dict_or_env({}, 'api_key', 'BRAVE_KEY')"),
    "environs": source(assigned="api_key or env.str('BRAVE_KEY')"),
}


@pytest.mark.parametrize("way", OWN)
def test_K6_a_class_that_reads_its_own_variable_keeps_it(way):
    assert why_not(planned(OWN[way])) == "`self.api_key` is read from BRAVE_KEY in the environment already"


def test_K6_a_variable_whose_name_is_not_seen_is_the_classs_own_too():
    assert "environment already" in why_not(planned(source(assigned="api_key or os.getenv(self.variable)")))


@pytest.mark.parametrize(
    "value",
    [
        "settings.BRAVE_KEY",
        "api_key or settings.brave.key.get_secret_value() or config.key",
        "get_settings().brave_key",
        "self.config['api_key']",
        "app_config.get('api_key')",
        "get_api_key()",
        "api_key or load_api_key('brave')",
        "keyring.get_secret('brave')",
    ],
)
def test_K6_a_settings_object_or_a_helper_elsewhere_wins(value):
    assert why_not(planned(source(assigned=value))).startswith("`self.api_key` comes from `")


@pytest.mark.parametrize(
    "value", ["api_key.strip()", "str(api_key)", "api_key or metadata.get('api_key')", "check(api_key)"]
)
def test_what_only_looks_at_the_given_key_is_no_source(value):
    assert variables(planned(source(assigned=value))) == ("WEATHER_API_KEY",)


FROM_ENV = "    @classmethod\n    def from_env(cls):\n        return cls(os.environ[{!r}]{})\n\n"


def test_K6_a_variable_that_the_class_reads_elsewhere_is_taken():
    plan = check_transformed(source(methods=FROM_ENV.format("METEO_SECRET", "")))
    assert variables(plan) == ("METEO_SECRET",)


def test_K6_of_several_variables_those_count_that_are_called_after_the_class():
    methods = FROM_ENV.format("OTHER_KEY", ", os.environ['WEATHER_SECRET']")
    assert variables(planned(source(methods=methods))) == ("WEATHER_SECRET",)
    methods = FROM_ENV.format("OTHER_KEY", ", os.environ['ANOTHER_KEY']")
    assert variables(planned(source(methods=methods))) == ("WEATHER_API_KEY",)


def test_a_variable_that_is_no_key_is_not_taken_for_one():
    assert variables(planned(source(methods=FROM_ENV.format("METEO_URL", "")))) == ("WEATHER_API_KEY",)


# K6: another's key, and none.

SDK = """\
import openai


class {name}:
    def __init__(self, api_key=None):
        self.api_key = api_key
        self.client = openai.{client}(api_key=self.api_key{more})

    def ask(self, words):
        return self.client.responses.create(model="m", input=words)
"""


@pytest.mark.parametrize(
    ("name", "client", "more", "wanted"),
    [
        ("Helper", "OpenAI", "", ("OPENAI_API_KEY",)),
        ("Summariser", "OpenAI", ", timeout=5", ("OPENAI_API_KEY",)),
        ("MoonshotClient", "OpenAI", ", base_url='https://api.moonshot.cn/v1'", ("MOONSHOT_API_KEY",)),
        ("AzureChat", "AzureOpenAI", ", api_version='1'", ("AZURE_CHAT_API_KEY",)),
        ("OpenAIChat", "OpenAI", ", base_url=None", ("OPENAI_API_KEY",)),
    ],
)
def test_K6_the_sdk_says_whose_key_it_is_unless_it_is_sent_elsewhere(name, client, more, wanted):
    assert variables(planned(SDK.format(name=name, client=client, more=more))) == wanted


def test_K6_an_sdk_that_is_sent_elsewhere_by_a_class_of_no_name_gets_no_key():
    code = SDK.format(name="Client", client="OpenAI", more=", base_url=self.url")
    assert "give --key-env Client=NAME" in why_not(planned(code))


@pytest.mark.parametrize("name", ["GoogleSerpSearch", "GoogleSerpApiWrapper", "OpenAIProxy", "ClaudeBridge"])
def test_K6_a_vendors_key_does_not_go_to_a_class_that_only_has_the_vendor_in_its_name(
    name, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for variable in (
        "GOOGLE_API_KEY",
        "GEMINI_API_KEY",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "CLAUDE_API_KEY",
    ):
        monkeypatch.setenv(variable, "the vendor's")
    assert getattr(load(source(name)), name)().api_key is None


@pytest.mark.parametrize("name", ["BaseClient", "Client", "API", "AsyncHTTPSession", "LLM", "ChatModel"])
def test_K6_no_name_is_left_no_block_and_the_report_says_so(name):
    reason = f"no variable can be called after {name}, which does not say whose key it is; give --key-env {name}=NAME"
    assert why_not(planned(source(name))) == reason


# The flag.


def test_K6_the_flag_for_one_class_wins_for_this_class_alone():
    code = source("Client") + "\n\n" + source("WeatherClient").split("\n\n\n")[1]
    plan = planned(code, key_variables_of=(("Client", ("SHOP_KEY", "SHOP_TOKEN")),))
    assert [cls.key_variables for cls in plan.classes] == [("SHOP_KEY", "SHOP_TOKEN"), ("WEATHER_API_KEY",)]
    plan = planned(code, key_variables=("ANY",), key_variables_of=(("Client", ("SHOP_KEY",)),))
    assert [cls.key_variables for cls in plan.classes] == [("SHOP_KEY",), ("ANY",)]


def test_the_flag_for_one_class_is_the_users_word_also_where_the_class_reads_a_variable():
    plan = planned(OWN["os.getenv"], key_variables_of=(("WeatherClient", ("METEO_KEY",)),))
    assert variables(plan) == ("METEO_KEY",)


# K6: tokens that are no keys.

TOKEN = """\
import requests


class {name}:
    def __init__(self, token=None):
        self.token = token

    def get(self, url):
        {use}
"""


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("Pager", "return requests.get(url, params={'t': self.token})"),
        ("ResultPages", "return requests.get(url, params={'t': self.token})"),
        ("CsrfForm", "return requests.post(url, data={'t': self.token})"),
        ("Shop", "return requests.get(url, params={'page_token': self.token})"),
        ("Shop", "return requests.get(url, params={'pageToken': self.token})"),
        ("Shop", "return requests.get(url, params=dict(nextToken=self.token))"),
        ("Shop", "return requests.post(url, headers={'X-CSRF-Token': self.token})"),
        ("Shop", "return requests.post(url, data={'refresh_token': self.token})"),
        (
            "Shop",
            "params = {}\n        params['continuation'] = self.token\n        return requests.get(url, params=params)",
        ),
    ],
)
def test_K6_page_csrf_and_refresh_tokens_are_no_keys(name, use):
    assert "keeps no API key" in why_not(planned(TOKEN.format(name=name, use=use)))


def test_a_token_that_is_sent_as_one_is_a_key():
    use = "return requests.get(url, headers={'Authorization': f'Bearer {self.token}'}, params={'page': 1})"
    assert variables(planned(TOKEN.format(name="Shop", use=use))) == ("SHOP_TOKEN",)


# K5.

GUARD = """\
import requests


class Shop:
    def __init__(self, api_key=None):
        self.api_key = api_key
        if self.api_key is None:
            raise ValueError("an API key is required")

    def items(self, url):
        return requests.get(url, headers={"X-Key": self.api_key})
"""


def test_K5_a_class_that_refuses_to_be_without_a_key_still_does(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHOP_API_KEY", raising=False)
    module = load(GUARD)
    with pytest.raises(ValueError, match="an API key is required"):
        module.Shop()
    monkeypatch.setenv("SHOP_API_KEY", "own")
    with LoopbackServer() as server:
        module.Shop().items(server.url)
        assert server.requests[-1].headers["x-key"] == "own"


def test_K5_the_projects_own_backends_say_what_they_give():
    assert b'missing="")' in planned(GUARD, missing_key="").after
    assert not re.search(rb"\bmissing=", planned(GUARD).after)


# A key that a base keeps.

BASES = """\
import requests


class Base:
    def __init__(self, api_key=None):
        {assigned}
{requests}

class TidesClient(Base):
    def tides(self, url):
        return requests.get(url, headers={{"X-Key": getattr(self, "api_key", "")}})
"""
ASKS = "\n    def ping(self, url):\n        return requests.get(url)\n"


def told(plan: FilePlan, name: str) -> dict[str, str]:
    """Return block -> what becomes of it, for one class."""
    (cls,) = [cls for cls in plan.classes if cls.name == name]
    return {block.block: block.change for block in cls.blocks}


def test_a_base_without_a_key_block_hands_none_down():
    plan = check_transformed(BASES.format(assigned="self.given = api_key", requests=ASKS))
    assert told(plan, "Base")["env_key"] == "skipped"
    assert told(plan, "TidesClient") == {"env_key": "skipped", "queue": "kept", "backoff": "kept"}


def test_a_key_block_of_a_base_is_inherited():
    code = BASES.format(assigned="self.api_key = api_key", requests=ASKS).replace("Base", "Weather")
    plan = check_transformed(code)
    assert told(plan, "Weather")["env_key"] == "added"
    assert told(plan, "TidesClient")["env_key"] == "kept"


@pytest.mark.parametrize(
    "requests", ["", ASKS], ids=["a base without requests", "a base whose name says nothing"]
)
def test_a_class_whose_base_keeps_the_key_gets_the_block_if_the_base_has_none(requests):
    plan = check_transformed(BASES.format(assigned="self.api_key = api_key", requests=requests))
    (cls,) = [cls for cls in plan.classes if cls.name == "TidesClient"]
    assert cls.key_variables == ("TIDES_API_KEY",)


def test_K6_a_base_that_reads_its_own_variable_keeps_it_for_the_classes_made_of_it():
    code = BASES.format(assigned="self.api_key = api_key or os.getenv('SEA_KEY')", requests="")
    assert "SEA_KEY in the environment already" in why_not(
        planned(code.replace("import", "import os\nimport", 1))
    )


def test_a_key_that_a_base_defines_as_a_property_is_left_to_it():
    methods = "\n    @property\n    def api_key(self):\n        return self._api_key\n"
    plan = planned(BASES.format(assigned="self._api_key = api_key", requests=methods))
    assert variables(plan) == ("TIDES_API_KEY",)  # what the property gives
    methods += "\n    @property\n    def _api_key(self):\n        return ''\n"
    assert "defines `_api_key` itself" in why_not(
        planned(BASES.format(assigned="self._api_key = api_key", requests=methods))
    )


def test_a_key_that_a_base_keeps_is_read_for_the_class_made_of_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = load(BASES.format(assigned="self.api_key = api_key", requests=""))
    monkeypatch.setenv("TIDES_API_KEY", "own")
    with LoopbackServer() as server:
        module.TidesClient().tides(server.url)
        module.TidesClient("given").tides(server.url)
        assert [request.headers["x-key"] for request in server.requests] == ["own", "given"]


# The base in another file.

ELSEWHERE = """\
import requests

from .base import {base}


class TidesClient({base}):
    def tides(self, url):
        return requests.get(url, headers={{"X-Key": self.api_key}})
"""


def in_two_files(folder, base: str, code: str) -> dict[str, FilePlan]:
    """Return the plans of a package with the class in one file and its base in another."""
    (folder / "sea").mkdir()
    files = {"__init__.py": "", "base.py": code, "tides.py": ELSEWHERE.format(base=base)}
    for name, text in files.items():
        (folder / "sea" / name).write_text(text)
    return {plan.path.name: plan for plan in plans(folder / "sea")}


def test_a_class_whose_base_in_another_file_keeps_the_key_gets_the_block(tmp_path):
    code = BASES.format(assigned="self.api_key = api_key", requests="").split("\nclass Tides")[0]
    assert variables(in_two_files(tmp_path, "Base", code)["tides.py"]) == ("TIDES_API_KEY",)


def test_a_key_block_of_a_base_in_another_file_is_inherited(tmp_path):
    code = BASES.format(assigned="self.api_key = api_key", requests=ASKS).split("\nclass Tides")[0]
    found = in_two_files(tmp_path, "SeaClient", code.replace("Base", "SeaClient"))
    assert variables(found["base.py"]) == ("SEA_API_KEY",)
    assert told(found["tides.py"], "TidesClient")["env_key"] == "kept"


def test_K6_a_base_in_another_file_that_reads_its_own_variable_keeps_it(tmp_path):
    code = BASES.format(assigned="self.api_key = api_key or os.getenv('SEA_KEY')", requests="")
    code = "import os\n" + code.split("\nclass Tides")[0]
    plan = in_two_files(tmp_path, "Base", code)["tides.py"]
    assert why_not(plan) == "`self.api_key` is read from SEA_KEY in the environment already"

"""How the name of a class is read: its words, whose it is, and which variable may be called after it (K2, K6)."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.tables.key_variables import VENDORS, made_up, vendor_named, vendor_of, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OpenAIClient", "openai client"),
        ("AsyncOpenAI", "async openai"),
        ("openai_api", "openai api"),
        ("OPENAI_CLIENT", "openai client"),
        ("OpenAIv2", "openai v2"),
        ("OpenAirClient", "open air client"),
        ("ReopenAI", "reopen ai"),
        ("HuggingFaceAPI", "huggingface api"),
        ("ZhiPuAILLM", "zhipuai llm"),
        ("AILLMClient", "ai llm client"),
        ("AsyncHTTPSession", "async http session"),
        ("JSONAPIClient", "json api client"),
        ("GitHubAPI", "github api"),
        ("GoogleSerpApiWrapper", "google serpapi wrapper"),
        ("DeepLTranslator", "deepl translator"),
        ("S3Client", "s3 client"),
        ("APIv2", "api v2"),
        ("hf_tgi", "hf tgi"),
        ("M\u00fcllerShop", "m\u00fcller shop"),
    ],
)
def test_words_of_a_name(name, words):
    assert words_of(name) == words.split()


@pytest.mark.parametrize(
    "name",
    "Client API Base BaseClient WorkerTokenClient CLIENT_BASE BaseAPI HTTP AsyncHTTPSession HTTPClient2 APIv2 BaseLLM AIClient LLM"
    " RESTClient AbstractProvider MyClient TheApi ChatClient EmbeddingModel ImageGenerator JSONAPIClient APIRanker CloudAgentMemory VectorStore M\u00fcller".split(),
)
def test_K6_no_variable_is_made_of_filler_alone(name):
    assert made_up(name, "api_key") == ()
    assert made_up(name, "token") == ()


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("WeatherClient", "WEATHER_API_KEY"),
        ("OpenWeatherMap", "OPEN_WEATHER_MAP_API_KEY"),
        ("SearchSearchAPI", "SEARCH_API_KEY"),
        ("BraveSearch", "BRAVE_SEARCH_API_KEY"),
        ("AzureOpenAI", "AZURE_OPENAI_API_KEY"),
        ("GitHub_API", "GITHUB_API_KEY"),
        ("StripeV3API", "STRIPE_API_KEY"),
        ("VannaDB_VectorStore", "VANNA_API_KEY"),
        ("BaseStripeHTTPClient", "STRIPE_API_KEY"),
    ],
)
def test_K6_a_variable_is_called_after_the_words_that_say_whose_it_is(name, variable):
    assert made_up(name, "api_key") == (variable,)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("OpenAIClient", "OPENAI_API_KEY"),
        ("OpenAIChatModel", "OPENAI_API_KEY"),
        ("claude", "ANTHROPIC_API_KEY"),
        ("AsyncAnthropicClaude", "ANTHROPIC_API_KEY"),
        ("GoogleGenaiService", "GOOGLE_API_KEY"),
        ("GeminiProClient", "GOOGLE_API_KEY"),
        ("HuggingFaceInferenceEndpoint", "HF_TOKEN"),
        ("ZhipuAILLM", "ZHIPUAI_API_KEY"),
    ],
)
def test_K6_a_class_that_is_the_vendors_by_all_words_of_its_name(name, variable):
    vendor = vendor_named(name)
    assert vendor is not None
    assert vendor.variables[0] == variable


@pytest.mark.parametrize(
    "name",
    "GoogleSerpApiWrapper GoogleSerpSearch GoogleImages GoogleMaps AzureOpenAI OpenAIProxy OpenAirClient ClaudeBridge"
    " SlackGeminiBot OllamaShop TogetherWeTravel ChatClient Pro Hub Client".split(),
)
def test_K6_one_word_of_a_vendors_is_not_enough(name):
    assert vendor_named(name) is None


def test_K6_the_sdk_of_one_vendor_says_whose_it_is_and_those_of_two_do_not():
    openai = vendor_of(frozenset({"openai", "requests"}))
    assert openai is not None
    assert openai.variables == ("OPENAI_API_KEY",)
    assert vendor_of(frozenset({"openai", "anthropic"})) is None
    assert vendor_of(frozenset({"requests", "httpx"})) is None


def test_every_vendor_is_known_by_each_of_its_names():
    for vendor in VENDORS:
        for name in vendor.names:
            assert vendor_named(f"{name}_client") is vendor

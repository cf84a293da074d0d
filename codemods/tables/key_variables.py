"""The one table of the environment variables that hold API keys, and how a class's name is read for it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Vendor:
    """Whose key it is.

    Attributes:
        names: words of a class's name, or the name of a library, that mean this vendor.
        variables: in which its keys are, first choice first.
        products: other words that the name of a class for this vendor may have.
    """

    names: frozenset[str]
    variables: tuple[str, ...]
    products: frozenset[str] = frozenset()


_TASKS = frozenset(
    """
    assistant assistants audio batch batches chat chats completion completions conversation embed embedder embedding
    embeddings file files generate generation generator gpt image images inference instruct message messages moderation
    rerank reranker response responses speech stream streaming text transcription vision
    """.split()
)
"""What one does with a model of any vendor."""


def _row(names: str, variables: str, products: str = "") -> Vendor:
    return Vendor(frozenset(names.split()), tuple(variables.split()), _TASKS | frozenset(products.split()))


VENDORS: tuple[Vendor, ...] = (
    _row("openai", "OPENAI_API_KEY", "chatgpt whisper dalle"),
    _row("anthropic claude", "ANTHROPIC_API_KEY CLAUDE_API_KEY", "haiku sonnet opus"),
    _row("groq", "GROQ_API_KEY"),
    # Other companies sell what Google shows; a task in the name says nothing of who does it.
    Vendor(
        frozenset({"gemini", "google", "genai"}),
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        frozenset({"generative", "flash", "pro"}),
    ),
    _row("hf tgi tei huggingface", "HF_TOKEN HUGGING_FACE_HUB_TOKEN", "hub endpoint endpoints"),
    _row("ollama", "OLLAMA_API_KEY"),
    _row("cohere", "CO_API_KEY COHERE_API_KEY", "command"),
    _row("mistral mistralai", "MISTRAL_API_KEY", "large small"),
    _row("together", "TOGETHER_API_KEY"),
    _row("deepseek", "DEEPSEEK_API_KEY", "coder reasoner"),
    _row("openrouter", "OPENROUTER_API_KEY"),
    _row("perplexity", "PERPLEXITY_API_KEY PPLX_API_KEY", "sonar"),
    _row("replicate", "REPLICATE_API_TOKEN"),
    _row("voyage voyageai", "VOYAGE_API_KEY"),
    _row("zhipu zhipuai", "ZHIPUAI_API_KEY", "glm"),
    _row("dashscope qwen", "DASHSCOPE_API_KEY"),
)
"""A vendor's variable is for a class whose name says the vendor and nothing else, or that uses the vendor's SDK."""

KEY_ATTRIBUTES = ("api_key", "_api_key", "apikey", "api_token", "_api_token")
"""Attributes that hold an API key."""

TOKEN_ATTRIBUTES = ("token", "_token", "access_token", "_access_token", "auth_token", "_auth_token")
"""Attributes that hold one if the constructor is given it, and nothing else assigns it: a login's token is none."""

FILLER = frozenset(
    """
    abstract access account adapter agent agents ai aio api apis app application async asynchronous auth backend backends base basic caller client clients cloud
    common config connection connector controller core credential credentials custom db default demo driver engine example executor external
    factory fetcher generic handler helper helpers http https impl implementation interface internal io json key keys kit lib
    library llm llms loader main manager memory mixin mock model models my new oauth object plugin proto protocol provider public py
    python ranker raw remote request requester requestor requests resource resources rest restful rpc runner sdk secret secrets sender server service
    services session sessions shared simple store sync the token tokens tool toolkit tools transport url user users util utilities utils vector web worker
    wrapper
    """.split()
)
"""Words of a class's name that do not say whose it is."""

NOT_A_KEY = frozenset(
    "continuation csrf cursor next page pages paginated pagination paginator pager previous refresh xsrf".split()
)
"""Words in what a token is sent as, or in the class's name, by which it is not an API key."""

_BRANDS = re.compile(
    r"""(?ix)
    assembly_?ai | bit_?bucket | cloud_?flare | deep_?infra | (?-i:Deep_?L(?![a-z])) | deep_?seek | digital_?ocean | eleven_?labs
    | git_?hub | git_?lab | hub_?spot | hugging_?face | linked_?in | mail_?chimp | mini_?max | mistral_?ai | open_?ai
    | open_?router | pay_?pal | post_?gres | send_?grid | serp_?api | stability_?ai | voyage_?ai | you_?tube | zhi_?pu_?ai
    """
)
"""Names that are one word, however they are written."""
_WORD = re.compile(r"[A-Z]+(?=v\d)|[A-Z]+(?=[A-Z][^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+\d*|[A-Z]+\d*|\d+")
_WORD_END = re.compile(r"v\d|(?![^\W\d_A-Z])")
_ACRONYMS = re.compile(
    r"(?:ai|api|aws|gpt|grpc|html|http|https|id|io|json|llm|rest|rpc|sdk|sql|ssl|tls|ui|url|xml)+"
)
_ACRONYM = re.compile(
    r"ai|api|aws|gpt|grpc|html|https|http|id|io|json|llm|rest|rpc|sdk|sql|ssl|tls|ui|url|xml"
)
_VERSION = re.compile(r"v\d+")


def words_of(name: str) -> list[str]:
    """Return the lower-case words of a name in any of the usual styles: `OpenAIClient` -> openai, client."""
    words: list[str] = []
    done = 0
    for brand in _BRANDS.finditer(name):
        start, stop = brand.span()
        begins_a_word = name[start].isupper() or not name[:start][-1:].isalpha()
        if begins_a_word and _WORD_END.match(name, stop):  # not the `openai` of `OpenAir`
            words += [*_split(name[done:start]), brand[0].replace("_", "").lower()]
            done = stop
    return [*words, *_split(name[done:])]


def _split(name: str) -> list[str]:
    """Return the words of a part of a name; a run of capitals falls into the acronyms that it is made of: AILLM."""
    words: list[str] = []
    for match in _WORD.finditer(name):
        word = match[0].lower()
        words += _ACRONYM.findall(word) if match[0].isupper() and _ACRONYMS.fullmatch(word) else [word]
    return words


def own_words(name: str) -> list[str]:
    """Return the words of a name that say whose it is, each once."""
    words = dict.fromkeys(words_of(name))
    return [w for w in words if w.rstrip("0123456789") not in FILLER and not _VERSION.fullmatch(w)]


def vendor_named(name: str) -> Vendor | None:
    """Return the vendor that a class is for: all words of its name say so, but for those that say nothing."""
    words = set(own_words(name))
    for vendor in VENDORS:
        if words & vendor.names and words <= vendor.names | vendor.products:
            return vendor
    return None


def vendor_of(libraries: frozenset[str]) -> Vendor | None:
    """Return the vendor whose SDK is among the libraries that a class uses; None if there are several."""
    found = [vendor for vendor in VENDORS if vendor.names & libraries]
    return found[0] if len(found) == 1 else None


def made_up(name: str, attribute: str) -> tuple[str, ...]:
    """Return a variable that is called after a class, or none where its name does not say whose it is.

    Args:
        attribute: in which the class keeps its key; one for a token gives a name such as `WEATHER_ACCESS_TOKEN`.
    """
    words = own_words(name)
    kind = attribute.strip("_") if attribute in TOKEN_ATTRIBUTES else "api_key"
    variable = f"{'_'.join(words)}_{kind}".upper()
    says_whose = variable.isascii() and variable.isidentifier() and not _TASKS.issuperset(words)
    return (variable,) if says_whose else ()


def metadata_names(class_name: str, variables: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names under which `metadata` may hold the key: `openai_api_key`."""
    own = own_words(class_name)
    names = [f"{'_'.join(own)}_api_key"] if own else []
    names += [name.lower() for name in variables]
    return tuple(dict.fromkeys(names))

"""The one table of the environment variables that hold API keys."""

from __future__ import annotations

import re

KEY_VARIABLES: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"openai"}), ("OPENAI_API_KEY",)),
    (frozenset({"anthropic", "claude"}), ("ANTHROPIC_API_KEY", "CLAUDE_API_KEY")),
    (frozenset({"groq"}), ("GROQ_API_KEY",)),
    (frozenset({"gemini", "google", "genai"}), ("GOOGLE_API_KEY", "GEMINI_API_KEY")),
    (
        frozenset({"hf", "tgi", "tei", "huggingface", "hugging"}),
        ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    ),
    (frozenset({"ollama"}), ("OLLAMA_API_KEY",)),
    (frozenset({"cohere"}), ("CO_API_KEY", "COHERE_API_KEY")),
    (frozenset({"mistral", "mistralai"}), ("MISTRAL_API_KEY",)),
    (frozenset({"together"}), ("TOGETHER_API_KEY",)),
)
"""Words of a class's name or of the library it uses -> variables, first choice first."""

KEY_ATTRIBUTES = ("api_key", "_api_key", "apikey", "api_token", "_api_token")
"""Attributes that hold an API key."""

TOKEN_ATTRIBUTES = ("token", "_token", "access_token", "_access_token", "auth_token", "_auth_token")
"""Attributes that hold one if the constructor is given it, and nothing else assigns it: a login's token is none."""

_FILLER = frozenset(
    {"api", "client", "backend", "kit", "wrapper", "service", "provider", "sync", "async", "base"}
)


def words_of(name: str) -> list[str]:
    """Return the lower-case words of a name in any of the usual styles: `OpenAIClient` -> openai, client."""
    name = re.sub(r"(?i)openai|github|gitlab", lambda match: f"{match[0].capitalize()}_", name)
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [word for word in spaced.lower().split("_") if word]


def key_variables(class_name: str, libraries: frozenset[str], attribute: str = "api_key") -> tuple[str, ...]:
    """Return the environment variables for a class: by its name, by the SDK it uses, or made from its name.

    Args:
        attribute: in which the class keeps its key; one for a token gives a name such as `WEATHER_ACCESS_TOKEN`.
    """
    words = words_of(class_name)
    for known in (set(words), set(libraries)):
        for names, variables in KEY_VARIABLES:
            if names & known:
                return variables
    own = [word for word in words if word not in _FILLER] or words
    kind = attribute.strip("_") if attribute in TOKEN_ATTRIBUTES else "api_key"
    return (f"{'_'.join(own)}_{kind}".upper(),)


def metadata_names(class_name: str, variables: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names under which `metadata` may hold the key: `openai_api_key`."""
    own = [word for word in words_of(class_name) if word not in _FILLER]
    names = [f"{'_'.join(own)}_api_key"] if own else []
    names += [name.lower() for name in variables]
    return tuple(dict.fromkeys(names))

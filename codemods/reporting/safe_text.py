"""Takes keys and passwords out of text that is shown outside the user's own terminal and patch.

A report page or a JSON file is uploaded, mailed and kept; a literal key in the user's code must not travel with it. Only
the patch of `--diff` is left as it is, since it would not apply otherwise.
"""

from __future__ import annotations

import re

HIDDEN = "[redacted]"

_TOKENS = (
    r"(?<![A-Za-z0-9])sk[-_][A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter, Stripe
    r"(?<![A-Za-z0-9])rk_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"AIza[A-Za-z0-9_-]{30,}",  # Google
    r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}",
    r"glpat-[A-Za-z0-9_-]{16,}",  # GitLab
    r"(?<![A-Za-z0-9])(?:gsk|hf|r8|xai|nvapi|pplx|npm|tgp)[-_](?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}",  # Groq, Hugging Face, ...
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",  # AWS
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",  # JSON web tokens
    r"pypi-[A-Za-z0-9_-]{40,}",
)
_TOKEN = re.compile("|".join(_TOKENS))
_AUTHORIZATION = re.compile(r"(?i)(?<![a-z])((?:bearer|basic|token)\s+)(?=[^\s'\"{}]*\d)[\w.~+/=-]{16,}")
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@'\"{}]+:)[^\s/@'\"{}]+(?=@)")
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*?)(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_NAMED = re.compile(
    r"""(?ix)
    ((?: api_?key | access_?key | private_?key | secret | token | passw(?:or)?d | passphrase | credential | authorization | auth )
     [a-z0-9_-]* ["']? \]? \s* (?: : \s* [a-z_.\[\] |]+ )? (?: = | : | , ) \s* [rbu]? (["']) )
    ([^"'\s{}]{16,}) (?= \2 )
    """
)
"""A string of some length that is given to something which is called a key, a token, a password."""


def redact(text: str) -> str:
    """Return the text with every key in it replaced by `[redacted]`. The number of lines stays."""
    text = _TOKEN.sub(HIDDEN, text)
    text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    text = _URL_PASSWORD.sub(rf"\1{HIDDEN}", text)
    text = _PRIVATE_KEY.sub(lambda match: match[1] + re.sub(r"\S+", HIDDEN, match[2]) + match[3], text)
    return _NAMED.sub(lambda match: match[1] + _unless_a_name(match[3]), text)


def _unless_a_name(value: str) -> str:
    """Hide a value, unless it reads like the name of something: letters only, an environment variable, a path."""
    looks_random = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    is_name = re.fullmatch(r"[A-Z][A-Z0-9_]*|[a-z][a-z_]*\d?|https?://.*|[./].*", value)
    return HIDDEN if looks_random and not is_name else value

"""Keys are taken out of what travels; names, paths and ordinary code stay."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.reporting.safe_text import HIDDEN, redact

# Made up here, and put together so that no scanner takes this file for a leak.
CANARY = "C4n4ryC4n4ryC4n4ryC4n4ryC4n4ryC4n4ry"
SECRETS = {
    "openai": "sk-" + CANARY,
    "openai project": "sk-proj-" + CANARY,
    "anthropic": "sk-ant-api03-" + CANARY,
    "stripe": "sk_live_" + CANARY,
    "google": "AIza" + CANARY,
    "github": "ghp_" + CANARY,
    "github fine-grained": "github_pat_" + CANARY,
    "groq": "gsk_" + CANARY,
    "hugging face": "hf_" + CANARY,
    "slack": "xoxb-" + CANARY,
    "aws": "AKIA" + "C4N4RY" * 2 + "C4N4",
    "json web token": "eyJ" + CANARY + "." + CANARY + "." + CANARY,
}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "line", ["x = '{}'", 'call("{}", 1)', "# {}", "url = f'https://h/?key={}&a=1'", "{}"]
)
def test_a_key_of_a_known_form_is_hidden(name, line):
    text = line.format(SECRETS[name])
    assert redact(text) == line.format(HIDDEN)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"Authorization": "Bearer abc123def456ghi789"}', '{"Authorization": "Bearer [redacted]"}'),
        (
            'headers["Authorization"] = "Basic dXNlcjpwYXNzd29yZA1="',
            'headers["Authorization"] = "Basic [redacted]"',
        ),
        ('api_key = "abc123def456ghi789jkl"', 'api_key = "[redacted]"'),
        ("self.secret: str = 'abc123def456ghi789jkl'", "self.secret: str = '[redacted]'"),
        ('"password": "hunter2hunter2hunter2!"', '"password": "[redacted]"'),
        ('aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCY"', 'aws_secret_access_key="[redacted]"'),
        (
            'os.environ.setdefault("MY_TOKEN", "abc123def456ghi789jkl")',
            'os.environ.setdefault("MY_TOKEN", "[redacted]")',
        ),
        ("https://user:s3cr3t@example.org/x", "https://user:[redacted]@example.org/x"),
    ],
)
def test_what_is_called_a_key_is_hidden(before, after):
    assert redact(before) == after


def test_a_private_key_is_hidden_line_by_line():
    text = (
        "k = '''-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nDEFghi\n-----END RSA PRIVATE KEY-----'''\nx = 1\n"
    )
    hidden = redact(text)
    assert "MIIE" not in hidden
    assert "DEF" not in hidden
    assert hidden.count("\n") == text.count("\n")
    assert hidden.endswith("'''\nx = 1\n")


@pytest.mark.parametrize(
    "text",
    [
        'api_key = os.environ["OPENAI_API_KEY"]',
        'api_key = "OPENAI_API_KEY_2"',
        'f"Bearer {self.api_key}"',
        'headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}',
        'token_url = "https://example.org/oauth2/token"',
        'token_path = "/var/run/secrets/token1"',
        'secret_name = "my_long_secret_name1"',
        "api_key=self.resolve_api_key(metadata)",
        "requests.get(url, auth=(user, password), timeout=30)",
        "task-management-1234567890-abcdefghij",
        "# >>> retrofit:backoff v1 81bf5846fc",
        'model = "claude-3-5-sonnet-20241022"',
        '"""Bearer authentication is described in RFC 6750."""',
        "disk-encryption-at-rest-2024",
    ],
)
def test_ordinary_code_stays(text):
    assert redact(text) == text

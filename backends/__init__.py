"""Eleven API backends, one class each, named like its module."""

from .claude import claude
from .gemini import gemini
from .groq import groq
from .hf_tei import hf_tei
from .hf_tgi import hf_tgi
from .llvm import llvm
from .ollama import ollama
from .opea import opea
from .openai_api import openai_api
from .ovms import ovms

try:
    from .s3_kit import s3_kit
except ModuleNotFoundError as error:  # boto3 is an optional extra
    if error.name not in ("boto3", "botocore"):
        raise

__all__ = [
    "claude",
    "gemini",
    "groq",
    "hf_tei",
    "hf_tgi",
    "llvm",
    "ollama",
    "opea",
    "openai_api",
    "ovms",
    "s3_kit",
]

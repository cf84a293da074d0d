"""Tests of what is written about the project: the README and the pages in docs/."""

"""The runtime: one file for each part of SPEC.md that it keeps, the tests named for its rules."""

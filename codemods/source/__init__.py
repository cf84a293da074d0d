"""The text of a file, its scopes, its syntax tree."""

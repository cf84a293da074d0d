"""Finds the API calls of backends, and injects, upgrades and removes the blocks that queue and retry them.

Each folder imports from those above it, never from those below; `test/codemods/test_layers.py` reads the imports.

- `tables`: which libraries send requests by which calls, and which variables hold the keys.
- `model`: the plain data that passes between the layers.
- `source`: the text of a file, its scopes, its syntax tree.
- `finding`: the call sites of a file.
- `blocks`: the blocks and their marker lines: rendered, recognised, merged, removed.
- `injection`: the LibCST transformers that put wraps, blocks, the import and the runtime into a module.
- `planning`: bytes -> a plan of one file, a pure function; the proof that the plan can be undone.
- `disk`: finds and reads files, plans them in processes, writes them.
- `reporting`: a plan as text, patch, page, SARIF, annotations.
- `command`: the command line.

`add_queue_backoff` and `fix_openai_api_implementation` are the commands by their documented names.
"""

"""The blocks and their marker lines: rendered, recognised, merged, removed."""

"""Shows plans: as text, patch, page, SARIF, annotations."""

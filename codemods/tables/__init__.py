"""Which libraries send requests by which calls, how requests look, and which variables hold the keys."""

"""Finds and reads files, plans them in processes, writes them."""

"""Plans the changes of one file, and proves that they can be undone."""

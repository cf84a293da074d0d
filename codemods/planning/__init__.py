"""Plans what is to become of one file, and proves that it can be undone."""

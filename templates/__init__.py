"""The Jinja templates of the class blocks."""

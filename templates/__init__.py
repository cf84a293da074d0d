"""The Jinja templates of the class blocks, and the runtime that they call."""

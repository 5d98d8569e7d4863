"""One oracle a file; each has check(context)."""

"""One verb per file: takes ready collaborators, returns a report."""

"""Throws made-up input at everything that reads what a stranger may have written."""

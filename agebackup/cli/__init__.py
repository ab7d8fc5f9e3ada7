"""The command line: the only place that knows click, stdout, exit codes, clock and environment."""

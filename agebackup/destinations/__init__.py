"""Places that keep archives, one module per kind."""

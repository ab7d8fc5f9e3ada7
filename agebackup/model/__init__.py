"""Values and rules: pure, without files, clock or environment."""

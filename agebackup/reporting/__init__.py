"""Pages made from reports, to be printed or looked at."""

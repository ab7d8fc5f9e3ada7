"""A simulated year of nightly runs, with everything that goes wrong in one."""

"""Faults at every system call of create and restore, and what must hold after each of them."""

"""What code that starts workers must not leave behind in its own process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest


@contextmanager
def nothing_left() -> Iterator[None]:
    """During the body no descriptor more stays open, and no child is left, living or dead."""
    with suppress(ChildProcessError):  # dead ones of earlier tests
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    before = len(os.listdir("/dev/fd"))
    yield
    assert len(os.listdir("/dev/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)

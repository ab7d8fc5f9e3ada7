"""Looking at places that may never answer: whatever hangs, the others are heard, and in time."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agebackup.errors import FailedError, NotFoundError, StoppedError
from agebackup.system.clock import Stopwatch
from agebackup.system.outcome import Result
from agebackup.system.probing import within
from agebackup.system.progress import Progress, Stop

pytestmark = pytest.mark.linux


def quick(text: str = "here") -> Result:
    return {"text": text}


def stuck() -> Result:
    """Never end, nor hear any signal but SIGKILL: as near to a dead mount as a process comes."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return {}


def waiting(fifo: Path) -> Result:
    """Open what nobody writes to: a system call that does not come back."""
    return {"text": fifo.read_text()}


def killed() -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def failing(error: Exception) -> Result:
    raise error


def children() -> list[int]:
    """Return the children of this process, the dead that nobody buried among them."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text().split()]


def test_all_answers_come_in_their_order() -> None:
    """Each function's answer is where the function was, and the children are gone."""
    before = children()
    answers = within(10, [partial(quick, str(n)) for n in range(20)], Progress())
    assert [answer and answer["text"] for answer in answers] == [str(n) for n in range(20)]
    assert children() == before
    assert within(10, [], Progress()) == ()


def test_a_stuck_one_costs_no_other_its_answer(tmp_path: Path) -> None:
    """Whoever hangs, at whatever place, has no answer; the others have, in little more than the
    time allowed."""
    os.mkfifo(tmp_path / "fifo")
    watch = Stopwatch()
    asked = [stuck, quick, partial(waiting, tmp_path / "fifo"), quick, stuck]
    assert within(0.5, asked, Progress()) == (None, quick(), None, quick(), None)
    assert 0.5 <= watch.seconds < 3


def test_many_stuck_ones_cost_the_time_once() -> None:
    """Thirty dead mounts are waited for together, not one after the other."""
    watch = Stopwatch()
    assert within(0.3, [stuck] * 30 + [quick], Progress())[-1] == quick()
    assert watch.seconds < 5


def test_an_answer_larger_than_a_pipe(tmp_path: Path) -> None:
    """Many large answers come whole, beside one that never comes."""
    large = {"text": "x" * 3_000_000}
    assert within(1.5, [lambda: large] * 3 + [stuck], Progress()) == (large, large, large, None)


@pytest.mark.parametrize(
    ("function", "kind", "said"),
    [
        (killed, FailedError, "SIGKILL"),
        (partial(failing, NotFoundError("It is gone.")), NotFoundError, "It is gone."),
        (partial(failing, ValueError("odd")), FailedError, "odd"),
        (partial(failing, OSError(errno.EIO, "Input/output error")), OSError, "Input/output"),
    ],
)
def test_what_fails_is_an_error(
    function: Callable[[], Result], kind: type[Exception], said: str
) -> None:
    """A child that was killed, or raised, is never taken for one that answered or hung."""
    before = children()
    with pytest.raises(kind, match=said):
        within(10, [quick, function, quick], Progress())
    assert len(children()) <= len(before) + 1  # the last one may be dying still


def test_a_stop_ends_the_waiting() -> None:
    """Who asks for the end need not wait for a dead mount."""
    stop = Stop()
    stop.request(signal.SIGTERM)
    watch = Stopwatch()
    with pytest.raises(StoppedError):
        within(30, [stuck, quick], Progress(stop))
    assert watch.seconds < 5


LEFT_BEHIND = """
import os
from agebackup.system.probing import lingering
assert not lingering()
waiting, end = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(end)
    os.read(waiting, 1)
    os._exit(0)
os.close(waiting)
assert lingering()
os.close(end)
while lingering():
    pass
try:
    os.waitpid(pid, os.WNOHANG)
except ChildProcessError:
    print("reaped")
"""


def test_what_was_left_behind_is_known() -> None:
    """A child that nobody waits for lingers until it has ended, and is then reaped."""
    words = (sys.executable, "-c", LEFT_BEHIND)  # a process of its own: this one may have children
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "reaped\n", done.stderr

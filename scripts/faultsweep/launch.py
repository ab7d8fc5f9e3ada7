"""Start agebackup so that one worker or thread stops before its first step, to be traced alone.

`launch.py ROLE NUMBER FILE ARGS…`: the forked worker or the thread of that number (from 1) writes
its id to FILE and stops the process. strace counts a call's occurrences per process: a fault meant
for a worker would strike the parent first wherever the parent makes that call as often. ARGS are
agebackup's, or begin with the file of another program in Python.
"""

import os
import runpy
import signal
import sys
import threading
from pathlib import Path
from types import FrameType


def _stop(file: Path) -> None:
    # written beside and renamed, so that whoever waits for FILE never reads half of it
    draft = file.with_suffix(".draft")
    draft.write_text(str(threading.get_native_id()))
    draft.rename(file)
    # to this thread, not to the process: another thread would take it while this one goes on
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _stop_worker(wanted: int, file: Path) -> None:
    forks = 0

    def count() -> None:
        nonlocal forks
        forks += 1

    def stop() -> None:
        if forks == wanted:
            _stop(file)

    os.register_at_fork(before=count, after_in_child=stop)


def _stop_thread(wanted: int, file: Path) -> None:
    threads, lock, main = 0, threading.Lock(), os.getpid()

    def first_call(frame: FrameType, event: str, argument: object) -> None:
        nonlocal threads
        sys.setprofile(None)
        with lock:
            threads += os.getpid() == main
            number = threads
        if number == wanted and os.getpid() == main:
            _stop(file)

    threading.setprofile(first_call)


if __name__ == "__main__":
    role, chosen, place = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if role == "worker":
        _stop_worker(chosen, place)
    elif role == "thread":
        _stop_thread(chosen, place)
    sys.argv = ["agebackup", *sys.argv[4:]]
    if sys.argv[1].endswith(".py"):
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        from agebackup.cli.main import main

        main()

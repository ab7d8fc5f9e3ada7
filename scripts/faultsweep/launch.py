"""Start agebackup so that its Nth forked worker stops before its first step: `launch.py N ARGS…`.

strace counts a call's occurrences per process. A fault meant for a worker would strike the parent
first wherever the parent makes that call as often; attached to the stopped worker alone, it cannot.
"""

import os
import signal
import sys


def _stop_worker(wanted: int) -> None:
    forks = 0

    def count() -> None:
        nonlocal forks
        forks += 1

    def stop() -> None:
        if forks == wanted:
            os.kill(os.getpid(), signal.SIGSTOP)

    os.register_at_fork(before=count, after_in_child=stop)


if __name__ == "__main__":
    _stop_worker(int(sys.argv[1]))
    sys.argv = ["agebackup", *sys.argv[2:]]
    from agebackup.cli.main import main

    main()

"""Fuzzes a target guided by coverage: python -m fuzzing.guided TARGET DIRECTORY SEED SECONDS.

libFuzzer, through atheris, keeps what reaches new code; half of all changes are the target's own.
"""

import sys
from pathlib import Path
from random import Random

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

with atheris.instrument_imports(include=["agebackup"]):
    from fuzzing.board import Board
    from fuzzing.plain import run_one
    from fuzzing.targets import LONGEST, TARGETS
    from fuzzing.watch import HUNG, Watch

_MEBIBYTES = 1024


def main() -> None:
    """Fuzz until the time is over; libFuzzer ends the process."""
    name, place, seed, seconds = sys.argv[1:]
    target, directory = TARGETS[name], Path(place)
    board = Board(directory / "board")
    corpus, private = directory / "corpus", directory / "private"
    for made in (corpus, private):
        made.mkdir(exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(data)

    def change(data: bytes, longest: int, number: int) -> bytes:
        if number % 2:
            mutated: bytes = atheris.Mutate(data, longest)
            return mutated
        return target.change(data, Random(number))[:longest]

    watches: list[Watch] = []

    def run(data: bytes) -> None:
        if not watches:  # not before libFuzzer has taken its own memory
            watches.append(Watch(target, private))
        run_one(watches[0], board, data)

    flags = (
        *(f"-seed={int(seed) + 1}", f"-max_total_time={seconds}", f"-max_len={LONGEST}"),
        *(f"-rss_limit_mb={_MEBIBYTES}", f"-timeout={int(2 * HUNG)}", "-verbosity=0"),
        f"-artifact_prefix={directory}/stopped-",
    )
    atheris.Setup([sys.argv[0], *flags, str(corpus)], run, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

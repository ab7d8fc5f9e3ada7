"""Fuzzes a target without coverage: structured changes of a corpus that grows by what is new.

An input is kept where its refusal reads differently from all before, but for what it quotes.
"""

import re
import time
from collections.abc import Iterator
from random import Random

from fuzzing.board import Board
from fuzzing.targets import LONGEST, Target
from fuzzing.watch import FindingError, Watch

_QUOTED = re.compile(r"'.*'|\".*\"|[0-9]+|/\S+", re.DOTALL)
_LARGEST_CORPUS = 3000


def fuzz(target: Target, watch: Watch, board: Board, chance: Random) -> Iterator[None]:
    """Run one input of `target` each time the next is asked for; its seeds come first.

    What is found is written to the `board`.
    """
    corpus = target.seeds()
    known: set[str] = set()
    for data in tuple(corpus):
        run_one(watch, board, data)
        yield
    while True:
        data = _changed(target, chance.choice(corpus), chance)
        said = run_one(watch, board, data)
        yield
        shape = _QUOTED.sub("", said)
        if shape not in known and len(corpus) < _LARGEST_CORPUS:
            known.add(shape)
            corpus.append(data)


def _changed(target: Target, data: bytes, chance: Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2))):
        data = target.change(data, chance)
    return data[:LONGEST]


def run_one(watch: Watch, board: Board, data: bytes) -> str:
    """Run one input and keep the board; return what it was refused with."""
    board.begin(data, time.monotonic())
    said = ""
    try:
        said = watch.run(data)
    except FindingError as error:
        board.found(str(error))
    board.end(refused=bool(said))
    return said

"""Which recipients an app is encrypted to now, found without waiting for a dead mount."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from agebackup.errors import AgebackupError
from agebackup.model.keytext import key_lines, recipient_text
from agebackup.snapshot.keyfiles import key_file, key_text
from agebackup.system.outcome import Result


def recipients_in(file: Path) -> Result:
    """Return the `recipients` in the file as a child process can hand them over.

    None where it cannot be read: `create` and `config check` say so, this only looks.
    """
    try:
        text = key_text(str(file), key_file(file, "recipients file"))
    except AgebackupError:
        return {"recipients": []}
    return {"recipients": [recipient_text(line) for _, line in key_lines(text)]}


def recipients_of(
    literals: Iterable[str], files: Iterable[Path], read: Mapping[Path, Result | None]
) -> tuple[str, ...]:
    """Return the recipients that stand in `literals` and in `files`, each once.

    `read` is what `recipients_in` said of each file, None where it did not answer.
    """
    found = [recipient_text(text) for text in literals]
    for file in files:
        texts = (read.get(file) or {}).get("recipients", [])
        assert isinstance(texts, list)
        found += texts
    return tuple(dict.fromkeys(found))

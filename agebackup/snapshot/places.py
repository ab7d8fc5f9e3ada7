"""Which names a bag holds already: duplicates, files that are also directories, clashing names.

A million names cannot be kept as strings. Kept are 60 bit hashes under the process's random seed:
two names out of a million share one once in two million bags, which is then refused wrongly.
"""

from agebackup.model.layout import DATA
from agebackup.model.names import clash_key, uncarriable

_MASK = (1 << 60) - 1


class Places:
    """The places of payload files, with the directories above them, each met once.

    `clashes` counts names (of files and of directories) that an earlier, different one equals
    once case and Unicode form are folded. `directories` counts those below `data`.
    """

    def __init__(self) -> None:
        self.clashes = 0
        self._directories = {_hash("data")}
        self._empty: set[int] = set()
        self._parent = "data"
        # Names that equal their own key need one entry, the rest two: most names are the former.
        self._folded: set[int] = {_hash("data")}
        self._unfolded: set[int] = set()
        self._keys: set[int] = set()

    @property
    def directories(self) -> int:
        """How many directories there are, those of the files and the empty ones."""
        return len(self._directories) - 1 + len(self._empty)

    def add(self, place: str) -> str | None:
        """Take in the file at `place`; return why it cannot be there, or None where it can."""
        parent = place[: place.rfind("/")]
        if parent != self._parent:
            self._parent = parent
            if not self._enter(parent):
                return "another file has the name of a directory above it"
        if self._claim(place):
            return None
        if _hash(place) in self._directories:
            return "it is a directory as well"
        return "it is there twice"

    def add_empty(self, place: str) -> None:
        """Take in the empty directory `place`, which is in no file, once; it clashes with none."""
        while (code := _hash(place)) not in self._directories and code not in self._empty:
            self._empty.add(code)
            place = place[: place.rfind("/")]

    def holds_file(self, place: str) -> bool:
        """Return whether a file at `place` was taken in."""
        return self._known(place) and not self.holds_directory(place)

    def holds_directory(self, place: str) -> bool:
        """Return whether a file below `place` was taken in."""
        return _hash(place) in self._directories

    def holds_key(self, key: str) -> bool:
        """Return whether a name was taken in that folds to `key`, a `clash_key`."""
        code = _hash(key)
        return code in self._folded or code in self._keys

    def _enter(self, directory: str) -> bool:
        while _hash(directory) not in self._directories:
            self._directories.add(_hash(directory))
            if not self._claim(directory):
                return False
            directory = directory[: directory.rfind("/")]
        return True

    def _known(self, name: str) -> bool:
        key = clash_key(name)
        return _hash(name) in (self._folded if name == key else self._unfolded)

    def _claim(self, name: str) -> bool:
        """Note `name`; return whether it is new."""
        key = clash_key(name)
        code = _hash(key)
        if name == key:
            if code in self._folded:
                return False
            self.clashes += code in self._keys
            self._folded.add(code)
            return True
        exact = _hash(name)
        if exact in self._unfolded:
            return False
        self.clashes += code in self._keys or code in self._folded
        self._unfolded.add(exact)
        self._keys.add(code)
        return True


def _hash(text: str) -> int:
    return hash(text) & _MASK


def misplaced(place: str) -> str | None:
    """Return why `place` is not a plain relative path, or None where it is one."""
    if "/." not in place and "//" not in place and place[:1] not in ("", "/", "."):
        return "it names no file" if place[-1] == "/" else None
    parts = place.split("/")
    if "" in parts or "." in parts or ".." in parts:
        return "it is not a plain relative path"
    return None


def is_place(name: str) -> bool:
    """Return whether `name` may be a payload file's."""
    return name.startswith(DATA) and uncarriable(name) is None and misplaced(name) is None

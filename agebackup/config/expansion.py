"""`~` and variables in the paths of the config file."""

import re
from collections.abc import Callable, Mapping

from agebackup.config.tables import Where

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<bare>\w+)|\{(?P<braced>\w+)\})?", re.ASCII)


def expand(
    text: str,
    where: Where,
    environment: Mapping[str, str],
    quote: Callable[[str], str] = str,
) -> str:
    """Return the path `text` with a leading `~`, `$NAME` and `${NAME}` replaced; `$$` is a `$`.

    `quote` is applied to what is put in. Raises `UsageError` where the text is empty or holds a
    NUL, a variable is not set, or where it asks for another user's home.
    """
    if not text or "\0" in text:
        raise where.error("a path cannot be empty" if not text else "a path cannot hold a NUL")

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return quote("$")
        name = match["bare"] or match["braced"]
        if not name:
            raise where.error("a lone '$'", "Write $$ for a dollar sign, $NAME for a variable.")
        if name not in environment:
            raise where.error(
                f"the environment variable {name} is not set",
                "Set it, or name a file of variables (--env-file, or env_file for timers, which "
                "start with a nearly empty environment); a whole path is safer.",
            )
        return quote(environment[name])

    home, rest = "", text
    if text.startswith("~"):
        user, _, rest = text[1:].partition("/")
        if user:
            raise where.error(f"~{user} is not understood", "Write the whole path; ~ alone works.")
        if not environment.get("HOME"):
            raise where.error("there is no ~, because HOME is not set", "Write the whole path.")
        home = quote(environment["HOME"]) + "/"
    return home + _VARIABLE.sub(value, rest)

"""Lines in the person's crontab, within markers; the rest of it is never touched.

Sources: crontab(1), crontab(5): a % in a command is a line end unless escaped, the command is given
to /bin/sh, and what it prints is mailed.
"""

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence

from agebackup.errors import FailedError
from agebackup.model.calendar import WEEK, Every
from agebackup.scheduling.job import LONGEST_RUN, Job, Person, Timers, timer_name

_PLACE = "crontab"
_LARGEST = 500_000
_NO_CRONTAB = "no crontab for"


class Cron(Timers):
    """A line between `# BEGIN NAME` and `# END NAME`."""

    kind = "cron"

    def render(self, job: Job) -> Mapping[str, str]:
        return {_PLACE: block(job)}

    def present(self, app: str) -> Mapping[str, str]:
        _, mine, _ = parted(self._read(), timer_name(app))
        return {_PLACE: mine} if mine else {}

    def install(self, job: Job) -> None:
        before, _, after = parted(self._read(), job.name)
        gap = "\n" if before and not before.endswith("\n") else ""
        self._write(before + gap + block(job) + after)

    def remove(self, app: str) -> bool:
        before, mine, after = parted(self._read(), timer_name(app))
        if mine:
            self._write(before + after)
        return bool(mine)

    def run(self, job: Job) -> int:
        """Run the line as cron does: by /bin/sh, with the few variables that cron sets."""
        if not self.present(job.app):
            raise FailedError(
                f"There is no line of {job.name} in the crontab.", hint="Install it first."
            )
        variables = cron_environment(self.person)
        words = [f"{name}={value}" for name, value in variables.items()]
        return self.ask(
            "env", "-i", *words, "/bin/sh", "-c", shell_command(job), seconds=LONGEST_RUN
        ).code

    def doubts(self, job: Job) -> Sequence[str]:
        if not shutil.which("pgrep", path=self.person.search_path):
            return ()
        running = any(self.ask("pgrep", "-x", name).code == 0 for name in ("cron", "crond"))
        if running:
            return ()
        return ("No cron daemon runs on this machine, so nothing will start the job.",)

    def _read(self) -> str:
        listed = self.ask("crontab", "-l")
        if listed.code == 0:
            return _untouched(listed.stdout)
        if _NO_CRONTAB in listed.stderr:
            return ""
        raise FailedError(
            f"The crontab cannot be read: {listed.stderr.strip()}",
            hint="Check that you may use crontab (cron.allow, cron.deny).",
        )

    def _write(self, text: str) -> None:
        if text:
            self.do("crontab", "-", said=text.encode())
        else:
            self.do("crontab", "-r")


def _untouched(text: str) -> str:
    """Return `text` if it can be written back as it was; raise `FailedError` otherwise."""
    if "\ufffd" in text or len(text) >= _LARGEST:
        raise FailedError(
            "The crontab is not plain UTF-8 text, or very long, so it was not touched.",
            hint="Add the line yourself: agebackup schedule install --kind cron --print",
        )
    return text


def cron_environment(person: Person) -> Mapping[str, str]:
    """Return the variables that cron gives a job, and no other."""
    return {
        "HOME": str(person.home),
        "LOGNAME": person.login,
        "SHELL": "/bin/sh",
        "PATH": "/usr/bin:/bin",
    }


def block(job: Job) -> str:
    """Return the lines of `job`, markers included."""
    command = shell_command(job).replace("%", "\\%")
    return f"{_begin(job.name)}\n{fields(job.every)} {command}\n{_end(job.name)}\n"


def shell_command(job: Job) -> str:
    """Return the command for /bin/sh: nice, idle where there is ionice, silent unless it fails."""
    words = [f"{name}={value}" for name, value in job.environment.items()]
    command = shlex.join(["env", *words, *job.command])
    idle = "$(command -v ionice >/dev/null && echo ionice -c 3)"
    return f"cd / && nice -n 19 {idle} {command} >/dev/null"


def fields(every: Every) -> str:
    """Return the five fields of `every`."""
    if every.minutes:
        return f"*/{every.minutes} * * * *"
    if every.hours:
        return "0 * * * *" if every.hours == 1 else f"0 */{every.hours} * * *"
    hour, minute = every.clock
    return f"{minute} {hour} * * {0 if every.seconds == WEEK else '*'}"


def parted(crontab: str, name: str) -> tuple[str, str, str]:
    """Return what stands before the block of `name`, the block, and what stands after it.

    Without a block everything stands before it. Raises `FailedError` where a block has no end: a
    person has edited it, and what belongs to it cannot be told.
    """
    begin, end = _begin(name), _end(name)
    lines = [line for line in re.split(r"(?<=\n)", crontab) if line]
    plain = [line.rstrip("\r\n") for line in lines]
    if begin not in plain:
        return crontab, "", ""
    first = plain.index(begin)
    if end not in plain[first:]:
        raise FailedError(
            f"The crontab has a line '{begin}' without its '{end}'.",
            hint="Mend it with crontab -e: remove both lines and what is between them.",
        )
    last = plain.index(end, first) + 1
    return "".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:])


def _begin(name: str) -> str:
    return f"# BEGIN {name} (written by agebackup schedule)"


def _end(name: str) -> str:
    return f"# END {name}"

"""Timers of systemd: of the person's own manager, or with `system` of the machine's.

Sources: systemd.timer(5), systemd.service(5), systemd.exec(5), systemd.syntax(7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agebackup.errors import UsageError, printable
from agebackup.model.calendar import Every, rhythm_of
from agebackup.scheduling.files import put, take_away
from agebackup.scheduling.job import LONGEST_RUN, Job, Person, Task, Timers, apps_of, timer_name
from agebackup.system.claims import Claims
from agebackup.system.process import CommandResult
from agebackup.system.progress import Progress

_WHEN = "OnCalendar="
_REFUSED = "\"'\\"
SYSTEM_UNITS = Path("/etc/systemd/system")

_SERVICE = """\
[Unit]
Description=agebackup: {what}
Documentation=man:systemd.timer(5)

[Service]
Type=oneshot
NotifyAccess=main
ExecStart={command}
{environment}Nice=19
IOSchedulingClass=idle
TimeoutStartSec={seconds}
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
{writable}{temporary}{privileges}RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""
_TIMER = """\
[Unit]
Description=agebackup: when to {what}

[Timer]
OnCalendar={calendar}
Persistent=true
RandomizedDelaySec={delay}

[Install]
WantedBy=timers.target
"""


class Systemd(Timers):
    """Units `NAME.service` and `NAME.timer`."""

    kind = "systemd"

    def __init__(
        self,
        person: Person,
        progress: Progress,
        claims: Claims,
        *,
        system: bool,
        task: Task = "backup",
    ) -> None:
        super().__init__(person, progress, task=task)
        self.claims = claims
        self.system = system
        self.units = SYSTEM_UNITS if system else person.config_home / "systemd" / "user"
        self._control = ("systemctl",) if system else ("systemctl", "--user")

    def trouble(self) -> str:
        if not self.found("systemctl"):
            return "There is no systemctl on this machine."
        if self.system and self.person.uid:
            return "Only root may install timers of the machine's own."
        asked = self.ask(*self._control, "show", "--property=Version")
        if asked.code == 0:
            return ""
        whose = "The machine's" if self.system else "This user's"
        said, *_ = [*asked.stderr.strip().splitlines(), "it said nothing"]
        return f"{whose} systemd does not answer: {printable(said).rstrip('.')}."

    def render(self, job: Job) -> Mapping[str, str]:
        environment = [f"Environment={quoted(f'{k}={v}')}\n" for k, v in job.environment.items()]
        writable = [f"ReadWritePaths={quoted('-' + str(path))}\n" for path in job.writable]
        service = _SERVICE.format(
            what=job.purpose,
            command=command_line(job.command),
            environment="".join(environment),
            seconds=int(LONGEST_RUN),
            writable="".join(writable),
            privileges=self._privileges(),
            temporary="" if _in_temporary(job) else "PrivateTmp=yes\n",
        )
        timer = _TIMER.format(what=job.purpose, calendar=calendar(job.every), delay=job.delay)
        service_file, timer_file = self._files(job.app)
        return {str(service_file): service, str(timer_file): timer}

    def present(self, app: str) -> Mapping[str, str]:
        return {
            str(file): file.read_text(errors="replace")
            for file in self._files(app)
            if file.is_file()
        }

    def apps(self) -> Sequence[str]:
        return apps_of((file.stem for file in self.units.glob("agebackup*.timer")), self.task)

    def rhythm(self, app: str) -> Every | None:
        lines = self.present(app).get(str(self._files(app)[1]), "").splitlines()
        said = [line.removeprefix(_WHEN) for line in lines if line.startswith(_WHEN)]
        return rhythm_of(said, lambda every: [calendar(every)])

    def install(self, job: Job) -> None:
        for file, text in self.render(job).items():
            put(Path(file), text, self.claims)
        self.do(*self._control, "daemon-reload")
        self.do(*self._control, "enable", f"{job.name}.timer")
        self.do(*self._control, "restart", f"{job.name}.timer")

    def remove(self, app: str) -> bool:
        name, there = timer_name(app, self.task), bool(self.present(app))
        if there:
            self.ask(*self._control, "disable", "--now", f"{name}.timer")
        # the link too: without a session, disable could not be heard
        for file in (*self._files(app), self.units / "timers.target.wants" / f"{name}.timer"):
            take_away(file)
        if there:
            self.ask(*self._control, "daemon-reload")
        return there

    def run(self, job: Job) -> CommandResult:
        unit = f"{job.name}.service"
        ended = self.ask(*self._control, "start", unit, seconds=LONGEST_RUN)
        shown = self.ask(*self._control, "show", "-p", "ExecMainStatus", "--value", unit)
        code = shown.stdout.strip()
        return replace(ended, code=int(code)) if code.isdigit() and int(code) else ended

    def doubts(self, job: Job) -> Sequence[str]:
        if self.system:
            return ()
        linger = self.ask("loginctl", "show-user", self.person.login, "-p", "Linger", "--value")
        if linger.stdout.strip() == "no":
            return (
                "Without lingering the timer only runs while you are logged in. To change that: "
                f"loginctl enable-linger {self.person.login}",
            )
        return ()

    def outdated(self, job: Job) -> bool:
        present = self.present(job.app)
        return bool(present) and not _writable(self.render(job)) <= _writable(present)

    def _privileges(self) -> str:
        """Return what the manager's privileges allow of a sandbox.

        A user's may not give up capabilities, as PrivateDevices would (218/CAPABILITIES), and
        as of version 252 makes nothing read-only outside a user namespace of the service's own,
        which not every system lets its users have.
        """
        if self.system:
            return "PrivateDevices=yes\nProtectKernelTunables=yes\nProtectControlGroups=yes\n"
        probe = ("unshare", "--user", "--map-root-user", "--mount", "true")
        able = self.found("unshare") and self.ask(*probe).code == 0
        return "PrivateUsers=yes\n" if able else ""

    def _files(self, app: str) -> tuple[Path, Path]:
        name = timer_name(app, self.task)
        return self.units / f"{name}.service", self.units / f"{name}.timer"


def calendar(every: Every) -> str:
    """Return `every` as OnCalendar has it."""
    if every.minutes:
        return f"*-*-* *:00/{every.minutes}:00"
    if every.hours:
        return f"*-*-* 00/{every.hours}:00:00"
    hour, minute = every.clock
    day, date = "Sun " if every.weekly else "", "01" if every.monthly else "*"
    return f"{day}*-*-{date} {hour:02}:{minute:02}:00"


def quoted(text: str) -> str:
    """Return `text` as one word of a unit file, where % introduces a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def command_line(command: Sequence[str]) -> str:
    """Return `command` for ExecStart, where $ introduces a variable, but not in the program.

    Raises `UsageError` for a program that systemd does not start, whichever way it is quoted.
    """
    program, *arguments = command
    shown = printable(program)
    if any(one in program for one in _REFUSED):
        raise UsageError(
            f"systemd starts no program with a quote or backslash in its path: {shown}.",
            hint="Install agebackup elsewhere, or use --kind cron.",
        )
    return " ".join([quoted(program), *(quoted(one.replace("$", "$$")) for one in arguments)])


def _writable(units: Mapping[str, str]) -> set[str]:
    lines = (line for text in units.values() for line in text.splitlines())
    return {line for line in lines if line.startswith("ReadWritePaths=")}


def _in_temporary(job: Job) -> bool:
    """Return whether the job needs the real /tmp: somebody tries agebackup out there."""
    paths = [*job.writable, *(Path(word) for word in job.command if word.startswith("/"))]
    return any(path.is_relative_to(place) for path in paths for place in ("/tmp", "/var/tmp"))

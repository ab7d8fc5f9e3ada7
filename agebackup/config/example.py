"""The commented example that `config init` writes: every key there is, none of them in force."""

import os
from contextlib import suppress
from pathlib import Path

from agebackup.errors import FailedError, UsageError, printable

EXAMPLE = """\
# Configuration of agebackup. Lines that begin with a single '#' and no blank are settings:
# remove the '#' from those you want. An unknown key is an error, so that no misspelling is silent.
# `agebackup config check` says what each app resolves to and what is wrong.
#
# Paths: ~ and $NAME or ${NAME} are replaced ($$ is a dollar sign). Relative ones stand below the
# app's root; without a root, and root itself, below the directory of this file.

# One table for each app. Its name: 1 to 40 of a-z, 0-9 and '-'.
#[apps.notes]

# The directory that holds the app's state. The archive then has everything at its path below
# root, so that a restore gives the app's own tree. Without it the archive has data/NAME for
# databases, data/attachments, data/config, data/tokens, and they may lie anywhere.
#root = "~/notes"

# Directories of files. A list, or names: {photos = "photos", mail = {path = "mail"}}.
# named_by says that files carry the hash of their content as their name: sha256 is checked.
#attachments = [{path = "blobs", named_by = "sha256"}]

# The app's own configuration and secrets, files or directories. They are only taken with
# --include-config and --include-tokens, or with the keys of these names (a timer gives no flags);
# without, they stay out even if they lie in attachments.
#config = ["settings.toml"]
#tokens = ["token"]
#include_config = false
#include_tokens = false

# Patterns of what the app can rebuild (derived) and what else stays out (exclude), as .gitignore
# has them, without negation. They are matched from root on (without a root, from each tree on).
#derived = ["cache/", "*.tmp", "/blobs/thumbs/**"]
#exclude = ["old-*/"]

# Take what symlinks lead to, where it is inside the tree; take SQLite files that are not declared
# as databases as mere bytes (a live one would be torn).
#follow_symlinks = false
#raw_sqlite = false

# The app's version for the record: a text, or a command that prints it.
#version = ["notes", "--version"]

# Commands around the snapshot, run in root without a shell: a list, or with a time limit in
# seconds (300 by default). `finish` runs after a failure too.
#prepare = ["notes", "pause"]
#finish = {argv = ["notes", "resume"], seconds = 20}

# Who can open the archives: public keys (age1..., ssh-ed25519, ssh-rsa), or files of them.
#recipients = ["age1..."]
#recipients_files = ["~/.config/agebackup/recipients.txt"]

# A directory, or one FILE.age that is replaced each time.
#destination = "~/Dropbox/backups"

# Several databases show one instant ("atomic"); "per-database" copies each on its own.
#consistency = "atomic"

# "none", "zstd" or "zstd:LEVEL". Recovery by hand then needs zstd as well.
#compress = "none"

# Decrypt and check each archive with a key that is then forgotten, before it gets its name.
#proof = true

# Unattended runs (`agebackup run`, which `agebackup schedule install` makes a timer call). Spans of
# time: 90m, 26h, 30d, 2w. `enabled` is set by `schedule install` unless it stands here.
#enabled = true
#interval = "24h"
# At most so much is waited at random before a run, so that not all apps run at once.
#jitter = "10m"
# After what may pass (busy, destination away) a run is tried again, each time after twice as long.
#retries = 3
#retry_after = "1m"
# From which age on `agebackup status` calls the newest archive stale; interval and 2h by default.
#max_age = "26h"

# How many archives stay; without this table nothing is ever pruned. -1 keeps all of a tier.
# `count = 10` keeps simply the last ten. README, "Retention", says what each rule means.
#[apps.notes.retention]
#keep_last = 0
#keep_hourly = 24
#keep_daily = 7
#keep_weekly = 4
#keep_monthly = 12
#keep_yearly = -1
#keep_within = "3d"
#keep_tags = ["release"]
#keep_manual = 20
#timezone = "UTC"
# Another machine writes archives of this app into the same folder, and they may be pruned too.
#shared = false
# How many may go at once without --yes; by default half of them, at least 3.
#max_prune = 10

# What a sudden loss of rows or files does: "note" says it, "refuse" also keeps prune from running.
#[apps.notes.guard]
#shrink = "note"

# Who is told how a run ended. Commands are lists without a shell and get a JSON report on stdin.
# The address (healthchecks.io's protocol) is a secret: it is never shown or logged.
#[apps.notes.hooks]
#on_success = ["notify-success"]
#on_failure = {argv = ["notify-failure"], seconds = 30}
#healthcheck_url = "https://..."
#desktop = false

# Databases: a name and a path, or a table.
#[apps.notes.databases]
#ledger = "ledger.db"

# With counts (SQL that gives one value, recorded and compared after a restore), the highest schema
# version that this app understands, and queries of attachments that must be there.
#[apps.notes.databases.events]
#path = "events.db"
#counts = {events = "SELECT count(*) FROM events"}
#max_user_version = 7
#references = "SELECT path, sha256 FROM attachments"

# One database for each file that matches: {name} stands for what tells them apart, * and ? for
# anything else, none of them for a dot at the beginning of a name. Several {name}, in different
# directories, are joined by '-'. Fewer than minimum is a failure.
#[apps.notes.databases.workspace]
#glob = "workspaces/{name}/data.db"
#minimum = 1
"""


def write_example(file: Path) -> None:
    """Write the example to the new `file` (0600); its directory is made (0700) if it is missing.

    Raises `UsageError` where something of that name exists, which stays as it is, and
    `FailedError` where it cannot be written; then no half file is left.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritten(file, error) from None
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{printable(str(file))} exists already and was not touched.",
            hint="Edit it, or name another file with --config.",
        ) from None
    except OSError as error:
        raise _unwritten(file, error) from None
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(EXAMPLE)
    except OSError as error:
        with suppress(OSError):
            file.unlink()
        raise _unwritten(file, error) from None


def _unwritten(file: Path, error: OSError) -> FailedError:
    return FailedError(
        f"{printable(str(file))} cannot be written: {error.strerror}.",
        hint="Check the permissions of its directory, or name another file with --config.",
    )

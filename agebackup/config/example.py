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

# Where archives are opened: only what one of these has signed (OpenSSH's allowed_signers), with a
# key that is not revoked (public keys, or a KRL). Relative to the directory of this file.
#trusted_signers = "allowed_signers"
#revoked_signers = "revoked_keys"

# A file of NAME=VALUE lines, whose variables can stand in paths where the environment has none of
# that name; --env-file names one whose variables come first. Nothing else ever gets them.
#env_file = "paths.env"

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

# The app's version for the record: a text, a command that prints it, or a file whose first line it
# is: {file = "VERSION"}, {command = ["notes", "--version"], seconds = 10}.
#version = ["notes", "--version"]

# The checkout of git that the app runs from: commit, branch, and whether it was changed are
# recorded. Where git cannot tell (it may take so many seconds), the archive is made without.
#provenance = {checkout = "~/src/notes", seconds = 10}

# Commands around the snapshot, run in root without a shell: a list, or with a time limit in
# seconds (300 by default). `finish` runs after a failure too.
#prepare = ["notes", "pause"]
#finish = {argv = ["notes", "resume"], seconds = 20}

# A command that is run after each restore of an archive with pointers (below), in root, with these
# on its stdin as JSON. If it ends with another code than 0, the restore ends with 4, and stays.
#pointer_check = {argv = ["notes", "check-remote"], seconds = 300}

# Who can open the archives: public keys (age1..., ssh-ed25519, ssh-rsa), or files of them.
#recipients = ["age1..."]
#recipients_files = ["~/.config/agebackup/recipients.txt"]

# Sign each archive with this SSH key (its .pub where an agent or a hardware key has the private
# half), so that a restore can tell who made it. It opens nothing: agebackup keygen --signing.
#signing_key = "~/.config/agebackup/signing"

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
# How often `agebackup status` wants the private keys to be tried (agebackup keycheck); or "never".
#keycheck_every = "90d"

# How long `agebackup clean` leaves what a restore into the app's own places put aside.
#keep_pre_restore = "30d"

# What the app needs and no archive holds, such as objects in a store: it is recorded, and a restore
# lists it. SQL whose columns are called location and perhaps bytes, hash, count, note; or a file:
# .json (a list of texts, or of objects with these keys), else a location on each line.
#[apps.notes.pointers]
#videos = {database = "ledger", sql = "SELECT key AS location, bytes FROM videos"}
#models = {file = "models.txt", hint = "rclone copy media:models/NAME models/"}

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

# What a drill looks whether it holds of a restored copy. SQL that gives one value: `equals` it, at
# least `minimum`, or what the archive's manifest records of that database ("rows.TABLE",
# "counts.NAME", "user_version"). Or a command, run in the copy; {target} is its directory, 0 good.
#[apps.notes.assertions]
#enough = {database = "ledger", sql = "SELECT count(*) FROM entries", minimum = 100}
#whole = {database = "ledger", sql = "SELECT max(id) FROM entries", manifest = "rows.entries"}
#opens = {command = ["notes", "--data", "{target}", "check"], seconds = 60}

# Restores into the app's own places (`agebackup restore APP --in-place`). Every command is a list
# without a shell, or {argv = [...], seconds = N}; migrate, rebuild and check may be lists of these.
#[apps.notes.restore]
# Stop and start the app: pause runs just before anything is exchanged, resume always after it.
#pause = ["systemctl", "--user", "stop", "notes"]
#resume = ["systemctl", "--user", "start", "notes"]
# Ends with 0 while the app runs: then nothing is exchanged.
#running = ["pgrep", "-x", "notes"]
# Which versions' archives this app understands. 2.4 lets 2.4.9 pass, "installed" is what `version`
# says now.
#min_app_version = "1.8"
#max_app_version = "installed"
# Run on the verified copies, in the directory that holds them as they lie below root, before they
# are put into place; afterwards everything is checked again, and no table may have lost rows but
# for row_tolerance: a number, or "5%".
#migrate = ["notes", "migrate", "--data", "."]
#row_tolerance = 0
# Makes the databases with role = "state" anew from the others (`restore --from-log`), there too.
#rebuild = ["notes", "replay", "--data", "."]
# Looks at the running app afterwards; a failure tells the way back, or takes it.
#check = ["notes", "doctor"]

# Values that every archive records and a restore compares: printed by a command, or selected from a
# database. compare = "not-newer" (the archive's may be older) or "equal".
#[apps.notes.restore.gates]
#storage-format = {argv = ["notes", "--storage-format"], seconds = 10, compare = "equal"}
#schema = {database = "ledger", sql = "SELECT max(version) FROM migrations"}

# Of single databases: what they are for a replay (state, eventlog, auxiliary), SQL for the heads
# that must be the same after a restore, the schemas that the app knows, and rows that may be lost.
#[apps.notes.restore.databases.events]
#role = "eventlog"
#heads = "SELECT peer, max(sequence) FROM events GROUP BY peer ORDER BY peer"
#schema_sha256 = ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
#row_tolerance = {sessions = "100%"}

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

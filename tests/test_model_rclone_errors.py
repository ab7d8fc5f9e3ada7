"""What rclone's failures mean, what is taken out of its words, and what a limit may look like."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agebackup.destinations.rclone_errors import bytes_done, complaint
from agebackup.destinations.rclone_program import failure
from agebackup.errors import AgebackupError, UsageError
from agebackup.model.bandwidth import require_bandwidth
from agebackup.model.credentials import without_credentials


@pytest.mark.parametrize(
    ("code", "stderr", "trouble"),
    [
        (
            1,
            'Failed to create file system for "x:y": didn\'t find section in config file',
            "undefined",
        ),
        (
            1,
            "Failed to load config file: unable to decrypt configuration and not allowed",
            "locked",
        ),
        (1, "Failed to load config file: password command failed: exit status 1", "locked"),
        (3, "Failed to lsjson: directory not found", "absent"),
        (1, "Failed to deletefile: x is a directory or doesn't exist", "absent"),
        (
            1,
            'couldn\'t list files: Propfind "http://h/": dial tcp: lookup h: no such host',
            "unreachable",
        ),
        (1, "NewFs: couldn't connect SSH: dial tcp: connect: connection refused", "unreachable"),
        (1, "Failed to copyto: Internal Server Error: 500 Internal Server Error", "unreachable"),
        (1, "googleapi: Error 503: Service Unavailable", "unreachable"),
        (1, "Put: net/http: TLS handshake timeout", "unreachable"),
        (5, "", "unreachable"),
        (1, "googleapi: Error 403: User Rate Limit Exceeded., userRateLimitExceeded", "busy"),
        (1, "SlowDown: Please reduce your request rate. status code: 503", "busy"),
        (1, "too_many_requests/..", "busy"),
        (1, "write: no space left on device", "full"),
        (1, "googleapi: Error 403: storageQuotaExceeded", "full"),
        (1, "insufficient_space/...", "full"),
        (1, "Insufficient Storage: 507 Insufficient Storage", "full"),
        (1, "read metadata failed: Unauthorized: 401 Unauthorized", "login"),
        (1, "couldn't fetch token: invalid_grant: maybe token expired?", "login"),
        (1, "InvalidAccessKeyId: status code: 403, request id: x", "login"),
        (1, "ssh: handshake failed: ssh: unable to authenticate", "login"),
        (1, "AccessDenied: Access Denied status code: 403, request id: x", "refused"),
        (1, "Couldn't delete: Method Not Allowed: 405 Method Not Allowed", "refused"),
        (1, 'sftp: "Read only file system" (SSH_FX_FAILURE)', "refused"),
        (1, "AccessDenied: Object is WORM protected and cannot be overwritten", "refused"),
        (1, "remove /x: permission denied", "refused"),
        (1, "something that nobody has seen", "failed"),
        (1, "", "failed"),
    ],
)
def test_failures_are_told_apart(code: int, stderr: str, trouble: str) -> None:
    """What another attempt may mend, what a person must, and what the place refuses differ."""
    plain = complaint(code, f"2026/11/21 12:52:31 {stderr}\n")
    logged = complaint(code, json.dumps({"level": "error", "msg": stderr, "stats": {}}) + "\n")
    assert (plain.trouble, logged.trouble) == (trouble, trouble)
    assert isinstance(failure(plain, "rclone:x:y"), AgebackupError)


def test_the_last_word_counts() -> None:
    """A network fault that was overcome does not hide what failed in the end."""
    early = json.dumps({"level": "error", "msg": "dial tcp: connection refused"})
    found = complaint(1, f"{early}\n2026/01/01 00:00:00 Failed to deletefile: AccessDenied\n")
    assert (found.trouble, found.said) == ("refused", "AccessDenied")
    assert complaint(1, f"{early}\nFailed to copyto: 1 error\n").trouble == "unreachable"


@given(st.integers(-300, 300), st.text())
def test_any_output_at_all_is_understood(code: int, stderr: str) -> None:
    """Whatever rclone writes, it becomes one line that a terminal can show."""
    said = complaint(code, stderr).said
    assert said.isprintable() and len(said) < 5000
    bytes_done(stderr)


@given(
    st.recursive(st.none() | st.integers() | st.text(), st.lists)
    | st.dictionaries(st.text(), st.text())
)
def test_any_json_at_all_is_understood(value: object) -> None:
    """A log line of another form is passed over."""
    for line in (json.dumps(value), json.dumps({"stats": value, "level": value, "msg": value})):
        complaint(1, line)
        assert bytes_done(line) is None


def test_the_bytes_of_a_transfer_are_read_from_the_log() -> None:
    """Progress is what rclone says that it has transferred."""
    assert bytes_done('{"level":"notice","msg":"x","stats":{"bytes":123,"speed":1}}') == 123
    assert bytes_done('{"stats":{"bytes":-1}}') is None and bytes_done("{") is None


SECRET = "s3cr3t-v4lue"


@pytest.mark.parametrize(
    "text",
    [
        f'Propfind "http://ada:{SECRET}@host:80/x": refused',
        f"https://{SECRET}@host/x failed",
        f"GET https://s3/x?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}%2F2026 failed",
        f"https://blob/x?sv=1&sig={SECRET}&se=2",
        f"Authorization: Bearer {SECRET}",
        f'{{"access_token":"{SECRET}","refresh_token": "{SECRET}"}}',
        f'"{{\\"access_token\\":\\"{SECRET}\\"}}"',
        f"pass = {SECRET}",
        f"secret_access_key={SECRET}",
        f"password: {SECRET}",
    ],
)
def test_secrets_of_other_programs_are_not_passed_on(text: str) -> None:
    """A login, a token or a signature that rclone prints reaches no message and no log."""
    assert SECRET not in without_credentials(text)
    assert SECRET not in complaint(1, text).said


@pytest.mark.parametrize("token", ["gho_A1b2C3d4", "github_pat_11AB_c9", f"v1.{'0a' * 20}"])
def test_the_tokens_of_github_are_known_by_their_form(token: str) -> None:
    """Where nothing names it as a secret, a token of GitHub's is hidden all the same."""
    assert without_credentials(f"refused for ({token})") == "refused for ((not shown))"


def test_harmless_words_stay() -> None:
    """What is no secret is told as it was."""
    for text in ('open "https://host/a/b": no such file', "token expired", "2 keys: none"):
        assert without_credentials(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "10M", "512", "1.5M", "off", "10M:100k", "10Mi", "8MiB", "100b"),
        *("08:00,512k 19:00,off", "Mon-08:00,1M:512k Sat-00:00,off"),
    ],
)
def test_limits_that_rclone_knows_are_taken(text: str) -> None:
    """A limit is written as rclone's --bwlimit has it, timetables included."""
    assert require_bandwidth(text) == text


@pytest.mark.parametrize(
    "text", ["fast", "10 M", "-5M", "10X", "25:00,1M", "--dry-run", "1M,2M", "\u0661M"]
)
def test_other_limits_are_refused(text: str) -> None:
    """A limit that rclone would refuse at night is refused when the configuration is read."""
    with pytest.raises(UsageError, match="no limit of bandwidth"):
        require_bandwidth(text)

"""Taking other programs' secrets out of what they print, before a person or a log gets to see it.

Addresses carry logins, queries carry signatures, headers and JSON carry tokens.
"""

import re

_HIDDEN = "(not shown)"
_LOGIN = re.compile(r"(?<=://)[^\s/@\"']+@")
_GITHUB = re.compile(r"\b(?:gh[a-z]_|github_pat_)\w+|\bv1\.[0-9a-f]{40}\b")
_HEADER = re.compile(r"(?i)\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}")
_SECRET_NAME = (
    r"[\w.-]*(?:access[_-]?key|account[_-]?key|passw(?:or)?d|passphrase|secret|signature|credential"
    r"|token|api[_-]?key|authorization)[\w.-]*|pass|sig|key"
)
_NAMED = re.compile(
    rf"(?i)(?P<name>(?<![\w-])(?:{_SECRET_NAME})\\?[\"']?\s*[=:]\s*)(?P<quote>\\?[\"']?)"
    r"(?P<value>[^\s\"'&,;}\\]+)"
)


def without_credentials(text: str) -> str:
    """Return `text` without logins in addresses, GitHub's tokens, and what is named as a secret."""
    text = _HEADER.sub(rf"\1 {_HIDDEN}", _GITHUB.sub(_HIDDEN, _LOGIN.sub("", text)))
    return _NAMED.sub(rf"\g<name>\g<quote>{_HIDDEN}", text)

"""How is a URL shown without what it is opened with?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

HIDDEN = "***"
# Of these, the part before the @ names a container and is no user.
CONTAINER_BEFORE_HOST = frozenset({"abfs", "abfss", "wasb", "wasbs", "adl"})
SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)://")
URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>]+")
SIGNED = re.compile(
    r"(?i)\b((?:x-amz-|x-goog-)?(?:signature|credential|security-token|access[_-]?token|token|password|passwd|secret|"
    r"api[_-]?key|authorization|key|sig|awsaccesskeyid))(['\"]?\s*[=:]\s*['\"]?)(?:(?:bearer|basic)\s+)?[^\s&,;'\")]+"
)
SHORTEST_SECRET = 4  # to hide every "a" of a message would hide the message


def without_credentials(url: str) -> str:
    """A URL or path as it may be shown: scheme, host and path, and a `#column` where there is one.

    The user, the password, and the whole query are left out, because nobody can tell all the names that
    signatures and tokens go by. A path without a scheme comes back as it is.
    """
    match = SCHEME.match(url)
    if match is None:
        return url
    scheme, rest = match[1], url[match.end() :]
    end = _end_of(rest, "/?#")
    authority = rest[:end]
    port = authority.rpartition(":")[2]
    if ":" in authority and not port.isdigit() and not port.endswith("]") and "@" in rest:
        # a password may hold the / ? # that would end an authority
        rest = rest.rpartition("@")[2]
    elif "@" in authority and not (scheme.lower() in CONTAINER_BEFORE_HOST and ":" not in authority):
        rest = rest[authority.rindex("@") + 1 :]
    before, _, fragment = rest.partition("#")
    path = before[: _end_of(before, "?;")]
    kept = f"#{fragment}" if re.fullmatch(r"[\w.\- ]+", fragment) else ""
    return f"{scheme}://{path}{kept}"


def without_secrets(text: str, url: str = "", options: Mapping[str, object] | None = None) -> str:
    """A message of another library, on one line, without what `url` and `options` hold in confidence.

    Every URL in it is shortened as by `without_credentials`, and values that follow a name such as `token=` are hidden.
    """
    text = " ".join(text.split())
    # Before the secrets: hiding a part of a URL first would leave the rest of it standing.
    text = URL_IN_TEXT.sub(lambda match: without_credentials(match[0]), text)
    for secret in sorted(set(_secrets_of(url)) | set(_texts_in(options or {})), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return SIGNED.sub(lambda match: f"{match[1]}{match[2]}{HIDDEN}", text)


def _end_of(text: str, marks: str) -> int:
    return min((at for at in map(text.find, marks) if at >= 0), default=len(text))


def _secrets_of(url: str) -> Iterable[str]:
    match = SCHEME.match(url)
    if match is None:
        return
    rest = url[match.end() :]
    clean = without_credentials(url)[match.end() :]
    host = clean[: _end_of(clean, "/#")]
    user, at, _ = rest.rpartition(f"@{host}") if host else ("", "", "")
    pieces = [user, *user.split(":", 1)] if at else []
    query = rest.partition("?")[2].partition("#")[0]
    pieces += [query, *(value for pair in query.split("&") if (value := pair.partition("=")[2]))]
    for piece in pieces:
        yield piece
        yield unquote(piece)


def _texts_in(value: object) -> Iterable[str]:
    """Every text in options: which of them is a secret differs from library to library; endpoints are not."""
    if isinstance(value, str):
        if SCHEME.match(value) is None:
            yield value
        else:
            yield from _secrets_of(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts_in(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts_in(each)

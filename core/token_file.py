"""A secret that is one word in a file: read at each use, so that an exchanged one counts at once."""

from __future__ import annotations

from pathlib import Path

from core.errors import Permanent


def read_token(source: str, file: str | Path, *, setting: str = "credentials_file") -> str:
    """The token, fit for an HTTP header.

    Args:
        setting: how the settings call the file, for people.

    Raises:
        Permanent: the file cannot be read, or holds anything but one word; what it holds stands in no error.
    """
    try:
        token = Path(file).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise Permanent(source, f"{setting} {file} cannot be read: {type(error).__name__}") from None
    if not token or not token.isascii() or any(map(str.isspace, token)):
        raise Permanent(source, f"{setting} {file} does not hold one access token")
    return token

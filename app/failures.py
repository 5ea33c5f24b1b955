"""What a person is told of a failure that nobody translated: the disk's, the control database's. One sentence that says how to mend it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from typing import Final

#: By error number of the operating system.
_MEND: Final[Mapping[int, str]] = {
    errno.EACCES: "give this user the right to it, or choose another data_dir (CLICKTRACE_DATA_DIR)",
    errno.EPERM: "give this user the right to it, or choose another data_dir (CLICKTRACE_DATA_DIR)",
    errno.EROFS: "choose a data_dir that can be written (CLICKTRACE_DATA_DIR)",
    errno.ENOTDIR: "a part of the path is no folder: choose another",
    errno.EISDIR: "name a file",
    errno.ENOSPC: "free some space, or lower journal.keep_days",
    errno.EDQUOT: "free some space, or lower journal.keep_days",
    errno.EMFILE: "permit more open files (ulimit -n)",
}


def sentence(error: BaseException) -> str:
    """The sentence for a failure that comes from outside of the program; "" for anything else, which is a bug of ours."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    # Whoever imports it late enough that --help stays quick has it loaded when it raises.
    database = sys.modules.get("sqlalchemy.exc")
    if database is None or not isinstance(error, database.SQLAlchemyError):
        return ""
    if isinstance(error, database.DBAPIError):
        return f"the control database: {_first_line(str(error.orig))}; {_mend(str(error.orig))}"
    # Its own words may quote the address, and with it the password.
    return (
        "control.url: write postgresql+psycopg://user@host/database, or leave it empty for SQLite in the data directory"
    )


def _of_the_system(error: OSError) -> str:
    what = error.strerror or _first_line(str(error)) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    mend = _MEND.get(error.errno or 0, "")
    return f"{where}{what}{f': {mend}' if mend else ''}"


def _mend(said: str) -> str:
    if "not a database" in said or "malformed" in said:
        return "restore control.sqlite of the data directory from a backup"
    if "unable to open" in said or "readonly" in said:
        return "give this user write access to the data directory, or choose another (CLICKTRACE_DATA_DIR)"
    if "locked" in said:
        return "another process is writing to it: try again"
    return "is it there, and do control.url and its password say how to reach it?"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".")

"""Several processes may open a new data directory at once: exactly one makes the tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import inspect

from core.control.engine import open_control

OPEN = "import sys; from pathlib import Path; from core.control.engine import open_control; open_control('', Path(sys.argv[1]))"


def test_processes_that_start_together_all_find_the_tables(tmp_path: Path) -> None:
    starting = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in starting]
    assert [code for _, code in ended] == [0] * 4, ended
    assert "links" in inspect(open_control("", tmp_path)).get_table_names()

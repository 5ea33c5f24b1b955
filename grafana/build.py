"""Writes the dashboards' JSON from code. `--check` fails when a built file is stale.

python -m grafana.build [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.dashboards import campaigns, system_health

GENERATED = Path(__file__).parent / "generated"
DASHBOARDS = {"campaigns": campaigns, "system_health": system_health}


def rendered() -> dict[Path, str]:
    """File -> JSON of every dashboard."""
    return {
        GENERATED / f"{name}.json": json.dumps(module.build().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, module in DASHBOARDS.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = [path for path, text in rendered().items() if not path.exists() or path.read_text("utf-8") != text]
    if check:
        for path in stale:
            print(f"{path.name} is stale: run `make generate` and commit the result")
        return 1 if stale else 0
    GENERATED.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(rendered()[path], "utf-8")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

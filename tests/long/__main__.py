"""`make test-long PART=loop`: runs a part's long steps one after the other and writes dated evidence.

Each step is a command with a name. What a step printed goes to docs/evidence/<date>-<part>.md together with commit and machine. A run that was
interrupted goes on where it stopped, as long as commit and part are the same (state in .long/).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from app.bench.ingest import CASES

ROOT = Path(__file__).parent.parent.parent
SCENARIOS = ("bad-deploy", "slow-page", "redirect-broken", "tracking-outage", "bot-flood", "quiet")


@dataclass(frozen=True)
class Step:
    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    timeout_s: int = 900


CLICKTRACE = str(Path(sys.executable).parent / "clicktrace")
KILL = Step(
    "50 rounds of SIGKILL under traffic",
    [sys.executable, "-m", "pytest", "-q", "tests/end_to_end/test_kill.py", "--timeout=3600"],
    {"KILL_ROUNDS": "50"},
    timeout_s=3600,
)


def loop_steps() -> list[Step]:
    """Each scenario with a fresh seed, a fault that is mended while its campaigns are paused, then 50 rounds of SIGKILL."""
    scenarios = [
        Step(
            f"scenario {name}",
            [CLICKTRACE, "demo", "--check", "--scenario", name, "--seed", str(secrets.randbelow(1_000_000))],
        )
        for name in SCENARIOS
    ]
    situations = "tests/correlator/detection/test_situations.py"
    mended = Step("mended while paused", [sys.executable, "-m", "pytest", "-q", "-m", "long", situations])
    return [*scenarios, mended, KILL]


def redirect_steps() -> list[Step]:
    """The speed beside nginx and with a million links; SIGKILL on two workers, a long soak, the links API under many generated requests.

    What compares speeds comes first: it wants the machine to itself.
    """
    pytest = [sys.executable, "-m", "pytest", "-q", "-s", "--show-capture=no"]
    links = "tests/redirect/links/"
    return [
        Step("speed beside nginx", [CLICKTRACE, "bench", "redirect", "--json", "--rounds", "5"], timeout_s=1200),
        Step("a million links beside a thousand", [CLICKTRACE, "bench", "links", "--json"], timeout_s=1800),
        KILL,
        Step(
            "10 minutes at half the maximum rate",
            [*pytest, "-m", "long", "tests/redirect/test_soak.py"],
            timeout_s=1500,
        ),
        Step("links API", [*pytest, f"{links}test_links_api_fuzzed.py"], {"LINKS_API_EXAMPLES": "500"}, timeout_s=1800),
        Step("a million links", [*pytest, "-m", "long", f"{links}test_a_million_links.py"], timeout_s=3600),
    ]


def collectors_steps() -> list[Step]:
    """Readers killed again and again; the rates of every way in; the suite over all sources."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-s", "--show-capture=no"]
    bench = [CLICKTRACE, "bench", "ingest", "--json", "--case"]
    return [
        Step(
            "readers of all sources, killed 50 times",
            [*pytest, "-m", "long", "tests/collectors/test_kill_rounds.py"],
            {"KILL_ROUNDS": "50"},
            timeout_s=1800,
        ),
        Step(
            "the sender of conversions, killed 20 times",
            [*pytest, "tests/uploads/test_killed.py", "--timeout=1500"],
            {"KILL_ROUNDS": "20"},
            timeout_s=1800,
        ),
        Step("suite over all sources", [*pytest, "tests/collectors/test_every_source.py"], timeout_s=1200),
        *(Step(f"rate of {case}", [*bench, case], timeout_s=1200) for case in CASES),
    ]


def correlator_steps() -> list[Step]:
    """What work costs over history: a tick, the join, a day of attribution, what people wait for, the disk; an erasure that is killed."""
    bench = [CLICKTRACE, "bench"]
    return [
        Step("a tick over 90 days beside one over a day", [*bench, "tick", "--json"], timeout_s=3600),
        Step("the day's join beside DuckDB and pandas", [*bench, "join", "--json"], timeout_s=1800),
        Step("a day of attribution", [*bench, "attribution", "--json"], timeout_s=3600),
        Step("a campaign's 30 days, a click's journey", [*bench, "reads", "--json"], timeout_s=3600),
        Step("what is done once a day", [*bench, "midnight", "--json"], timeout_s=3600),
        Step("bytes a click takes, memory a query gets", [*bench, "disk", "--json"], timeout_s=3600),
        Step("5 million lines dropped and rebuilt", [*bench, "rebuild", "--json"], timeout_s=4800),
        Step(
            "the same over HTTP as in the process",
            [sys.executable, "-m", "pytest", "-q", "-m", "long", "tests/correlator/test_both_engines.py"],
            timeout_s=1800,
        ),
        Step(
            "an erasure killed before every single change",
            [sys.executable, "-m", "pytest", "-q", "-s", "-m", "long", "tests/core/erasure/test_killed_eraser.py"],
            timeout_s=1800,
        ),
    ]


def detection_steps() -> list[Step]:
    """The simulated world held against single events, then the detector against the whole of it."""
    return [
        Step(
            "counts by the minute beside ten million events",
            [sys.executable, "-m", "pytest", "-q", "-m", "long", "tests/app/evaluate/test_counts.py"],
        ),
        Step("a minute of ten thousand streams", [CLICKTRACE, "bench", "detector", "--json"]),
        Step("the detector evaluated", [CLICKTRACE, "evaluate", "--full", "--json"], timeout_s=4700),
        Step(
            "any series beside simple rules", [CLICKTRACE, "bench", "series", "--series", "8", "--json"], timeout_s=1800
        ),
    ]


PARTS = {
    "loop": loop_steps,
    "redirect": redirect_steps,
    "collectors": collectors_steps,
    "correlator": correlator_steps,
    "detection": detection_steps,
}


def commit() -> str:
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    dirty = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    return head.stdout.strip() + (" with uncommitted changes" if dirty.stdout.strip() else "")


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def run_step(step: Step) -> dict[str, object]:
    print(
        f"--- {step.name}: {' '.join(Path(step.command[0]).name if i == 0 else a for i, a in enumerate(step.command))}"
    )
    started = time.monotonic()
    try:
        run = subprocess.run(
            step.command, cwd=ROOT, env={**os.environ, **step.environment}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=step.timeout_s,
        )  # fmt: skip
        code, output = run.returncode, run.stdout
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode("utf-8", "replace") if isinstance(expired.stdout, bytes) else ""
        code = 124
    print(output[-4000:])
    return {"name": step.name, "command": step.command[1:], "exit": code, "seconds": round(time.monotonic() - started),
            "output": output}  # fmt: skip


def _anywhere(output: str) -> str:
    """Without the machine's folders and the sign-in links of systems that are gone."""
    plain = output.replace(str(ROOT), ".").replace(tempfile.gettempdir(), "$TMPDIR").replace(sys.base_prefix, "$PYTHON")
    return re.sub(r"token=[\w-]+", "token=…", plain)


def write_evidence(part: str, commit_id: str, results: list[dict[str, object]]) -> Path:
    path = ROOT / "docs" / "evidence" / f"{datetime.now(UTC):%Y-%m-%d}-{part}.md"
    passed = sum(r["exit"] == 0 for r in results)
    lines = [f"# test-long {part}: {passed} of {len(results)} steps passed", "",
             f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit_id}, {machine()}", "",
             "| step | exit | seconds | arguments |", "| --- | ---: | ---: | --- |"]  # fmt: skip
    for r in results:
        arguments = " ".join(a for a in r["command"] if not a.startswith("/"))  # type: ignore[attr-defined]  # list[str] by construction
        lines.append(f"| {r['name']} | {r['exit']} | {r['seconds']} | `{arguments}` |")
    for r in results:
        lines += ["", f"## {r['name']}", "", "```", _anywhere(str(r["output"]).strip()), "```"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-long")
    parser.add_argument("part", choices=sorted(PARTS))
    part = parser.parse_args().part
    commit_id = commit()
    state = ROOT / ".long" / f"{part}.json"
    state.parent.mkdir(exist_ok=True)
    kept = json.loads(state.read_text("utf-8")) if state.exists() else {}
    results: list[dict[str, object]] = kept["results"] if kept.get("commit") == commit_id else []
    done = {r["name"] for r in results}
    for step in PARTS[part]():
        if step.name in done:
            continue
        results.append(run_step(step))
        state.write_text(json.dumps({"commit": commit_id, "results": results}), "utf-8")
    path = write_evidence(part, commit_id, results)
    state.unlink()
    failed = [str(r["name"]) for r in results if r["exit"] != 0]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed; written to {path.relative_to(ROOT)}")
    for name in failed:
        print(f"  failed: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

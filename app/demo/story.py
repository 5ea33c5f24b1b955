"""Tells the story on the terminal as it happens."""

from __future__ import annotations

import threading
import time
from decimal import Decimal

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.demo.alert_receiver import Received
from app.demo.watch import SeenAction, SeenIncident
from core.incidents import VERDICT_WORDS, Verdict


def dollars(micros: float) -> str:
    return f"${Decimal(round(micros / 10_000)) / 100:,.2f}"


class Story:
    """Lines with the time since the start. `quiet` says nothing (for --json). Thread-safe: alerts come from another thread."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(quiet=quiet, highlight=False)
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    # --- setting up ------------------------------------------------------------------------------------------------------------

    def begin_setup(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=self.console,
        )
        self._progress.start()

    def setup(self, step: str, share: float) -> None:
        """A step of setting up has come so far; 1 = done."""
        if self._progress is None:
            return
        if step not in self._tasks:
            if not self.console.is_terminal:
                self.say(f"[dim]{step} …")
            self._tasks[step] = self._progress.add_task(step, total=1.0)
        self._progress.update(self._tasks[step], completed=share)

    def end_setup(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    # --- telling ---------------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        seconds = int(time.monotonic() - self._started)
        with self._lock:
            self.console.print(f"[dim]{seconds // 60:02d}:{seconds % 60:02d}[/]  {text}", soft_wrap=True)

    def chapter(self, text: str) -> None:
        self.say(f"[bold cyan]{text}")

    def show(self, renderable: object) -> None:
        with self._lock:
            self.console.print(renderable)

    def incident(self, seen: SeenIncident) -> None:
        payload = seen.payload
        self.say("[bold red]an incident opens")
        lines = [f"[bold]{payload['title']}[/]", payload["sentence"]]
        for deploy in payload.get("deploys", [])[:2]:
            lines.append(f"suspect: {deploy['change']} of {deploy['service']} {deploy['version']} ({deploy['reason']})")
        for trace in payload.get("traces", [])[:3]:
            lines.append(f"trace {trace['trace_id']}: {trace['service']} {trace['route']} {trace['error']}")
        self.show(Panel("\n".join(lines), title=f"incident: {words(seen.verdict)}", border_style="red"))

    def verdict(self, seen: SeenIncident) -> None:
        self.say(f"the incident is now judged [bold]{words(seen.verdict)}[/]: {seen.payload['sentence']}")

    def incident_state(self, seen: SeenIncident) -> None:
        recovery = seen.payload.get("recovery") or {}
        self.say(f"the incident is [bold]{seen.state}[/]. {recovery.get('text', '')}")

    def action(self, seen: SeenAction) -> None:
        by = f" by {seen.decided_by}" if seen.decided_by else ""
        self.say(f"ledger: {seen.kind} {seen.target} is [bold]{seen.state.replace('_', ' ')}[/]{by}")

    def alert(self, received: Received) -> None:
        via = "Alertmanager" if "alertmanager" in received.caller.lower() else "the built-in notifier"
        name = received.labels.get("alertname", "")
        self.say(
            f"[yellow]message[/] through {via}: {received.status} {name}: {received.annotations.get('summary', '')}"
        )

    def rows(self, title: str, rows: list[tuple[str, str]]) -> None:
        table = Table(title=title, show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column(justify="right")
        for row in rows:
            table.add_row(*row)
        self.show(table)


def words(verdict: str) -> str:
    return VERDICT_WORDS[Verdict(verdict)] if verdict in set(Verdict) else verdict

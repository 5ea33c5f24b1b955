"""One demo from start to end: set the stage, direct the story, check it against the truth."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from app.demo.alert_receiver import AlertReceiver
from app.demo.director import Approval, Director
from app.demo.outcome import Outcome, closing_rows, outcome_of
from app.demo.processes import ChildFailed, tail
from app.demo.scenarios import Name, draw_plan
from app.demo.stage import Stage, StageOptions
from app.demo.story import Story
from app.demo.truth import read_truth
from app.demo.world import HISTORY_DAYS
from core.errors import ClicktraceError

DEFAULT_DATA_DIR = Path("demo-data")


class DemoFailed(ClicktraceError):
    """The demo could not be built or broke on the way; says which process and shows the end of its log."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    scenario: Name
    seed: int | None = None
    automatic: bool = False
    check: bool = False
    #: Somebody sits at the terminal and can be asked.
    interactive: bool = False
    data_dir: Path | None = None
    minutes: float = 10.0
    days: int = HISTORY_DAYS
    quiet: bool = False


def run_demo(options: DemoOptions, *, ask: Callable[[str], bool], keep_running: Callable[[], None]) -> Outcome:
    """Run it; `ask` is the person at the terminal, `keep_running` is called at the end of a shown demo.

    Raises:
        DemoFailed: see there.
    """
    story = Story(quiet=options.quiet)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    # A check works in a directory of its own and leaves nothing behind; a shown demo can be looked at afterwards.
    temporary = options.data_dir is None and options.check
    data_dir = (
        Path(tempfile.mkdtemp(prefix="clicktrace-demo-")) / "data"
        if temporary
        else options.data_dir or DEFAULT_DATA_DIR
    )
    story.chapter(f"Clicktrace demo: {options.scenario}, seed {seed}")
    try:
        outcome = _run(options, data_dir.absolute(), seed, story, ask=ask, keep_running=keep_running)
    except ChildFailed as failure:
        raise DemoFailed(str(failure)) from failure
    if temporary and outcome.as_expected:
        shutil.rmtree(data_dir.parent, ignore_errors=True)
    elif temporary:
        story.say(f"kept for a closer look: {data_dir}")
    return outcome


def _run(
    options: DemoOptions,
    data_dir: Path,
    seed: int,
    story: Story,
    *,
    ask: Callable[[str], bool],
    keep_running: Callable[[], None],
) -> Outcome:
    asked = options.interactive and not options.check
    approval: Approval = "automatic" if options.automatic else "ask" if asked else "link"
    stage_options = StageOptions(
        data_dir=data_dir, seed=seed, automatic=options.automatic, any_ports=options.check, days=options.days
    )
    with (
        AlertReceiver(on_alert=story.alert) as receiver,
        Stage(stage_options, receiver=receiver, progress=story.setup) as stage,
    ):
        story.begin_setup()
        try:
            stage.start()
        finally:
            story.end_setup()
        _greet(story, stage)
        plan = draw_plan(options.scenario, stage.world, stage.past, now=stage.history_end)
        director = Director(
            stage, plan, story=story, receiver=receiver, approval=approval, minutes=options.minutes, ask=ask
        )
        director.run()
        truth = read_truth(data_dir / "truth.json")
        outcome = outcome_of(truth, director.watch.observed)
        _close(story, outcome, logs=stage.logs)
        if asked:
            keep_running()
    return outcome


def _greet(story: Story, stage: Stage) -> None:
    console = stage.command("keys", "link", "--json")["url"]
    story.say(
        f"ready after {sum(stage.seconds.values()):.0f} s. The console, signed in: [link={console}]{console}[/link]"
    )
    story.say(f"the shop: http://{stage.ports.site}/packs/daybreak   the logs: {stage.logs}")
    if stage.alertmanager is None:
        story.say("no Alertmanager on this machine: the built-in notifier calls the same webhook instead")


def _close(story: Story, outcome: Outcome, *, logs: Path) -> None:
    story.rows(f"{outcome.scenario}, seed {outcome.seed}", closing_rows(outcome))
    shares = ", ".join(f"{name} {cores:.2f}" for name, cores in outcome.cores.items())
    story.say(f"[dim]cores used on average while visitors came: {shares}; in all {sum(outcome.cores.values()):.2f}")
    if outcome.as_expected:
        story.say("[green]as expected[/]: verdict, scope, cause, action and times are those of the truth")
    for difference in outcome.differences:
        story.say(f"[red]differs:[/] {difference}")
    if outcome.differences:
        story.say(f"the monitor's last words:\n{tail(logs / 'clicktrace-up.log', lines=12)}")

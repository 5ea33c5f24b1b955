"""Everything that runs during the demo: the product as a customer would run it, and the world around it, each in its own processes.

Building it, in order: data directory and ports, the ad platforms' sandboxes, keys, three weeks of history through `clicktrace import`,
`clicktrace up`, short links, the shop, the visitors. It is torn down in the opposite order, also when a step fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec

from app.demo import configuration
from app.demo import world as w
from app.demo.ad_delivery import DeliveryConfig
from app.demo.alert_receiver import AlertReceiver
from app.demo.configuration import PlatformAccess, Ports
from app.demo.control_call import call
from app.demo.history import DAY_MS, HOUR_MS, clicks_of_last_hour
from app.demo.history_import import import_history
from app.demo.past_facts import PastDeploy, past_deploys, running_version
from app.demo.processes import Child, ChildFailed, clicktrace, cpu_seconds, python, tail, wait_for_file
from app.demo.product import Product
from app.demo.scenarios import Release
from app.demo.shop import Deployment, ShopConfig
from app.demo.visitors import Order, VisitorsConfig

#: History ends this long before the demo starts: by then the last click's order has come.
SETTLED_MS = int(w.DELAY_MAX_S * 1000)
READY_TIMEOUT_S = 300.0
MARKER = ".clicktrace-demo"
Progress = Callable[[str, float], None]


class StageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`any_ports`: take free ports instead of the standard ones, so that several demos can run at once."""

    data_dir: Path
    seed: int
    automatic: bool = False
    any_ports: bool = False
    days: int = w.HISTORY_DAYS


class Stage:
    """A context manager; `start` builds it. `on_alert` is called in the receiver's thread."""

    def __init__(self, options: StageOptions, *, receiver: AlertReceiver, progress: Progress) -> None:
        self.options = options
        self.ports = Ports.choose(any_free=options.any_ports)
        self.world = w.draw_world(options.seed, site=self.ports.site)
        self.receiver = receiver
        self.started_ms = int(time.time() * 1000)
        self.history_end = self.started_ms - SETTLED_MS
        self.history_start = (self.history_end - options.days * DAY_MS) // HOUR_MS * HOUR_MS
        self.past: list[PastDeploy] = past_deploys(options.seed, start=self.history_start, end=self.history_end)
        self.product_dir = options.data_dir / "clicktrace"
        self.alertmanager = configuration.alertmanager_binary()
        self.counts: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._stack = ExitStack()
        self._children: dict[str, Child] = {}
        self._platforms: dict[w.Platform, PlatformAccess] = {}
        self._env: dict[str, str] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- building --------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Build everything.

        Raises:
            ChildFailed: a process ended or did not become ready.
        """
        prepare(self.options.data_dir)
        self._step("the ad platforms' sandboxes", self._start_platforms)
        self._configure()
        self._step("three weeks of history", self._import_history)
        self._step("clicktrace up", self._start_product)
        self._step("short links, shop and alert routing", self._start_shop)

    def _step(self, name: str, work: Callable[[], None]) -> None:
        started = time.monotonic()
        self._progress(name, 0.0)
        work()
        self._progress(name, 1.0)
        self.seconds[name] = round(time.monotonic() - started, 1)

    def _start_platforms(self) -> None:
        for platform, module in (("google", "app.demo.google_sandbox"), ("meta", "app.demo.meta_sandbox")):
            self._start_sandbox(platform, module)  # type: ignore[arg-type]  # the two literals above
        for platform in ("google", "meta"):
            folder = self.options.data_dir / platform
            ready = wait_for_file(folder / "ready.json", child=self._children[f"{platform} sandbox"])
            self._platforms[platform] = msgspec.convert(ready, PlatformAccess)  # type: ignore[index]  # as above

    def _start_sandbox(self, platform: w.Platform, module: str) -> None:
        folder = self.options.data_dir / platform
        folder.mkdir(parents=True, exist_ok=True)
        campaigns = [
            {"id": c.campaign.rpartition(":")[2], "name": c.name, "cpc_micros": c.cpc_micros}
            for c in self.world.campaigns
            if c.platform == platform
        ]
        (folder / "campaigns.json").write_bytes(msgspec.json.encode(campaigns))
        arguments = ["--dir", str(folder), "--account", w.ACCOUNTS[platform], "--currency", w.CURRENCY]
        self._run(f"{platform} sandbox", [*python(module), *arguments, "--campaigns", str(folder / "campaigns.json")])

    def _configure(self) -> None:
        content = configuration.settings(
            self.product_dir, self.ports, self._platforms, automatic=self.options.automatic,
            alertmanager=self.alertmanager is not None, webhook_url=self.receiver.url,
        )  # fmt: skip
        file = configuration.write_yaml(self.options.data_dir / "clicktrace.yaml", content)
        # Only the product's process trusts the sandbox's certificate; nothing else on this machine does.
        self._env = {
            "CLICKTRACE_CONFIG": str(file),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": self._platforms["google"].ca_file,
        }

    def _make_keys(self) -> dict[str, str]:
        """One key for the shop's servers, one for the team."""
        wanted = {"shop": ["ingest"], "team": ["read", "links", "ingest", "approve"]}
        made = {}
        for name, scopes in wanted.items():
            options = [part for scope in scopes for part in ("--scope", scope)]
            made[name] = str(self.command("keys", "add", name, *options, "--json")["key"])
        return made

    def command(self, *arguments: str) -> Any:
        """Run a `clicktrace` command with this installation's settings; its JSON.

        Raises:
            ChildFailed: it ended with an error.
        """
        return run_command(*arguments, env=self.environment())

    def environment(self) -> dict[str, str]:
        """The environment in which this installation's commands run."""
        return {**os.environ, **self._env}

    def _import_history(self) -> None:
        import_history(
            world=self.world, start=self.history_start, end=self.history_end, folder=self.options.data_dir / "history",
            env=self._env, logs=self.logs, progress=lambda share: self._progress("three weeks of history", share),
        )  # fmt: skip
        hour = self.history_end // HOUR_MS * HOUR_MS
        self._earlier = clicks_of_last_hour(self.world, start=self.history_start, end=self.history_end)
        for platform, access in self._platforms.items():
            told = [
                {"campaign": key.split("|")[0], "device": key.split("|")[1], "clicks": clicks, "ts": hour}
                for key, clicks in self._earlier.items()
                if key.startswith(f"{platform}:")
            ]
            call(f"{access.control}/control/clicks", told)

    def _start_product(self) -> None:
        child = self._run("clicktrace up", clicktrace("up"), env=self._env)
        wait_for_file(self.product_dir / "run" / "up.json", child=child, timeout_s=30)
        with ThreadPoolExecutor(max_workers=1) as aside:
            keys = aside.submit(self._make_keys)
            self._wait_until_loaded(child)
            self.keys = keys.result()
        self.product = Product(self.ports.api, self.keys["team"])
        self._stack.callback(self.product.close)

    def _wait_until_loaded(self, child: Child) -> None:
        """Until the product has the history in its store."""
        until = time.monotonic() + READY_TIMEOUT_S
        most = 1.0
        with closing(Product(self.ports.api, "")) as anybody:
            while not anybody.ready():
                child.check()
                behind = anybody.behind_bytes()
                if behind is not None:
                    most = max(most, behind)
                    self._progress("clicktrace up", 1 - behind / most)
                if time.monotonic() > until:
                    raise ChildFailed(f"clicktrace up is not ready after {READY_TIMEOUT_S:.0f} s:\n{tail(child.log)}")
                time.sleep(0.25)

    def _start_shop(self) -> None:
        self.product.add_links(self.world)
        if self.alertmanager is not None:
            self._start_alertmanager(self.alertmanager)
        versions = {s: running_version(self.past, s, at=self.history_end) for s in (w.WEB, w.ORDERS, w.MEDIA)}
        shop = ShopConfig(
            seed=self.options.seed, port=self.ports.shop, api=self.ports.api, otlp=f"http://localhost:{self.ports.otlp}",
            redirect=f"http://localhost:{self.ports.redirect}", key=self.keys["shop"], versions=versions,
        )  # fmt: skip
        self._run("shop", python("app.demo.shop"), said=shop)
        visitors = VisitorsConfig(
            seed=self.options.seed, site=self.ports.site, shop_port=self.ports.shop, redirect_port=self.ports.redirect,
            delivery=DeliveryConfig(
                control_ports={name: int(access.control.rpartition(":")[2]) for name, access in self._platforms.items()},
                api_port=self.ports.monitor, key=self.keys["shop"],
                earlier_clicks={key: n for key, n in self._earlier.items() if key.startswith("microsoft:")},
            ),
        )  # fmt: skip
        child = self._run("visitors", python("app.demo.visitors"), said=visitors, stdout=subprocess.PIPE)
        threading.Thread(target=self._read_counts, args=(child,), daemon=True).start()
        self._wait_for_shop()

    def _start_alertmanager(self, binary: str) -> None:
        folder = self.options.data_dir / "alertmanager"
        file = configuration.write_yaml(
            folder / "alertmanager.yaml", configuration.alertmanager_settings(self.receiver.url)
        )
        arguments = [
            f"--config.file={file}", f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.ports.alertmanager}",
            "--cluster.listen-address=",
        ]  # fmt: skip
        self._run("alertmanager", [binary, *arguments])

    def _wait_for_shop(self) -> None:
        until = time.monotonic() + 20
        while not call(f"http://127.0.0.1:{self.ports.shop}/_ci/state", None, quiet=True):
            self._children["shop"].check()
            if time.monotonic() > until:
                raise ChildFailed(f"the shop does not answer:\n{tail(self.logs / 'shop.log')}")
            time.sleep(0.1)

    def _run(self, name: str, argv: list[str], **more: Any) -> Child:
        child = Child(name, argv, log=self.logs / f"{name.replace(' ', '-')}.log", **more)
        self._children[name] = child
        self._stack.callback(child.stop)
        return child

    def _read_counts(self, child: Child) -> None:
        for line in child.stdout:
            self.counts = msgspec.json.decode(line)

    @property
    def logs(self) -> Path:
        return self.options.data_dir / "logs"

    # --- what the script can do --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises:
        ChildFailed: something that should run has ended.
        """
        for child in self._children.values():
            child.check()

    def open_doors(self, order: Order) -> None:
        self._children["visitors"].say(order)

    def release(self, release: Release) -> None:
        """Ship a release as a pipeline does: switch the service over, then post the marker."""
        if release.service in (w.WEB, w.ORDERS, w.MEDIA):
            deployment = Deployment(service=release.service, version=release.version, behaviour=release.behaviour)
            call(f"http://127.0.0.1:{self.ports.shop}/_ci/deploy", msgspec.to_builtins(deployment))
        self.product.post_deploy(release)

    def mutations(self) -> list[dict[str, Any]]:
        """Every change that reached the platforms over their own interfaces, oldest first."""
        found: list[dict[str, Any]] = []
        for access in self._platforms.values():
            found += call(f"{access.control}/control/mutations", None)
        return sorted(found, key=lambda change: change["at"])

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time that each of our processes has used so far, its own children included."""
        return {name: cpu_seconds(child.pid) for name, child in self._children.items()}


def run_command(*arguments: str, env: dict[str, str]) -> Any:
    """A `clicktrace` command's JSON.

    Raises:
        ChildFailed: it ended with an error.
    """
    done = subprocess.run(clicktrace(*arguments), capture_output=True, env=env, timeout=60, text=True, check=False)
    if done.returncode != 0:
        raise ChildFailed(f"clicktrace {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def prepare(data_dir: Path) -> None:
    """An empty directory for this run. Only one that a demo made is emptied.

    Raises:
        ChildFailed: the directory holds something else.
    """
    if data_dir.exists() and any(data_dir.iterdir()):
        if not (data_dir / MARKER).exists():
            raise ChildFailed(f"{data_dir} is not empty and no demo made it: choose another --data-dir")
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / MARKER).touch()

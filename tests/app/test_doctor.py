from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from alerts.rules.load import DEFAULTS
from app import doctor
from app.doctor_money import worth
from app.finding import Finding
from app.settings import Settings, load_settings
from core.control.engine import open_control
from redirect.watch.check import Finding as WatchFinding
from redirect.watch.check import Observation
from redirect.watch.memory import Memory, Remembered


def configured(tmp_path: Path, text: str = "") -> Settings:
    file = tmp_path / "clicktrace.yaml"
    file.write_text(text)
    return load_settings(file, environ={"CLICKTRACE_DATA_DIR": str(tmp_path / "data")})


def finding(found: list[Finding], check: str) -> Finding:
    return next(one for one in found if one.check == check)


@pytest.fixture
def server_with_a_wrong_clock() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return "Mon, 02 Jan 2012 03:04:05 GMT"

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_fresh_machine_has_no_problem_but_is_told_what_to_set(tmp_path: Path) -> None:
    ports = "redirect: {port: 0}\nmonitor: {port: 0, otlp_port: 0}\nstore: {read_port: 0}\n"
    found = doctor.examine(configured(tmp_path, ports))
    assert [one for one in found if one.state == "problem"] == []
    assert "redirect.allowed_destinations" in finding(found, "redirect").mend
    assert "alerts.webhook_url" in finding(found, "notifications").mend


def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = configured(tmp_path, f"monitor: {{port: {port}}}\n")
        found = [one for one in doctor._ports(settings, None) if one.state == "problem"]
    assert [str(port) in one.text and "monitor.port" in one.mend for one in found] == [True]


def test_a_clock_that_is_wrong_is_noticed(tmp_path: Path, server_with_a_wrong_clock: str) -> None:
    settings = configured(tmp_path, f"alerts: {{alertmanager_url: '{server_with_a_wrong_clock}'}}\n")
    [found] = doctor._clock(settings, None)
    assert found.state == "warning"
    assert "chrony" in found.mend


def test_missing_credentials_are_a_problem(tmp_path: Path) -> None:
    text = "accounts: [{platform: google, account: '1', credentials_file: /nowhere/key.json}]\n"
    [found] = doctor._accounts(configured(tmp_path, text), None)
    assert (found.check, found.state) == ("account google:1", "problem")
    assert "/nowhere/key.json" in found.text


def test_a_platform_without_a_client_is_a_warning(tmp_path: Path) -> None:
    [found] = doctor._accounts(configured(tmp_path, "accounts: [{platform: microsoft, account: '1'}]\n"), None)
    assert found.state == "warning"
    assert "by hand" in found.text


def test_a_console_on_all_addresses_without_tls_is_a_warning(tmp_path: Path) -> None:
    [found] = doctor._exposure(configured(tmp_path, "monitor: {host: 0.0.0.0}\n"), None)
    assert found.state == "warning"


def test_a_visitor_cookie_that_the_shop_cannot_see_is_a_warning(tmp_path: Path) -> None:
    text = "redirect: {allowed_destinations: [shop.example], sites: [shop.example], cookie_domain: go.other.example}\n"
    [found] = doctor._redirect(configured(tmp_path, text), None)
    assert found.state == "warning"
    assert "cookie_domain" in found.text


def test_a_silent_alertmanager_is_a_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    [found] = doctor._alertmanager(
        configured(tmp_path, f"alerts: {{alertmanager_url: 'http://127.0.0.1:{port}'}}\n"), None
    )
    assert found.state == "problem"


def test_a_certificate_that_is_none_is_a_problem(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("no certificate")
    [found] = doctor._certificates(configured(tmp_path, f"monitor: {{tls_cert: {cert}, tls_key: {cert}}}\n"), None)
    assert (found.check, found.state) == ("monitor.tls_cert", "problem")


def test_a_country_database_is_opened_and_its_age_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "countries.mmdb"
    settings = configured(tmp_path, f"redirect: {{country_database: {path}}}\n")
    [missing] = doctor._country_databases(settings, None)
    assert (missing.state, "redirect.country_database" in missing.mend) == ("problem", True)
    writer = MMDBWriter(database_type="Test-Country")
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": {"iso_code": "AT"}})
    writer.to_db_file(str(path))
    [fresh] = doctor._country_databases(settings, None)
    assert (fresh.state, fresh.text) == ("ok", "Test-Country, built 0 days ago")
    monkeypatch.setattr(doctor, "OLD_COUNTRIES_DAYS", -1)
    assert doctor._country_databases(settings, None)[0].state == "warning"
    assert doctor._country_databases(configured(tmp_path), None) == []
    figures = configured(tmp_path, "correlator: {country_database: /none.mmdb}\n")
    assert "figures by country are blank" in doctor._country_databases(figures, None)[0].mend


def test_a_type_that_steers_without_a_value_is_told_before_its_return_is_missed(tmp_path: Path) -> None:
    [found] = worth(configured(tmp_path), None)
    assert (found.state, found.text.split(":")[0], "default_value" in found.mend) == ("warning", "lead", True)
    priced = "correlator: {catalogue: {lead: {default_value: '40', steers_live: true}}}\n"
    assert worth(configured(tmp_path, priced), None)[0].state == "ok"


def test_what_the_watch_saw_last_is_told(tmp_path: Path) -> None:
    settings = configured(tmp_path)
    assert doctor._destinations(settings, None)[0].text == "0 looked at, all as expected"
    engine = open_control("", settings.data_dir)
    seen = Observation(url="https://shop.example/p", statuses=(404,))
    finding = WatchFinding(word="http_error", text="The page answers 404.")
    last = Remembered(url=seen.url, seen=seen, findings=(finding,), baseline=None, state="failing", checked_at=1)
    Memory(engine).save([last])
    engine.dispose()
    [found] = doctor._destinations(settings, None)
    assert (found.state, found.text) == (
        "problem", "1 of 1 are not as they should be: https://shop.example/p (http_error)",
    )  # fmt: skip
    assert "links check" in found.mend


def test_a_watch_that_is_switched_off_is_told(tmp_path: Path) -> None:
    [found] = doctor._destinations(configured(tmp_path, "redirect: {watch: {enabled: false}}\n"), None)
    assert (found.state, "redirect.watch.enabled" in found.mend) == ("warning", True)


def test_a_page_that_cannot_be_read_and_limits_behind_an_unknown_proxy_are_found(tmp_path: Path) -> None:
    missing = configured(tmp_path, f"redirect: {{page_html: {tmp_path / 'own.html'}}}\n")
    [problem] = doctor._refusals(missing, None)
    assert (problem.check, problem.state, "redirect.page_html" in problem.mend) == ("page", "problem", True)
    limits = "address_hits_per_second: 5"
    [warning] = doctor._refusals(configured(tmp_path, f"redirect: {{{limits}}}\n"), None)
    assert (warning.check, warning.state) == ("limits", "warning")
    assert (
        doctor._refusals(configured(tmp_path, f"redirect: {{{limits}, trusted_proxies: [10.0.0.0/8]}}\n"), None) == []
    )


def test_lists_of_data_centre_networks_are_said_to_be_missing_broken_or_read(tmp_path: Path) -> None:
    assert finding(doctor._traffic_lists(configured(tmp_path), None), "traffic lists").state == "warning"
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("198.51.100.0/24\n")
    bad.write_text("nothing\n")
    text = f"correlator: {{traffic: {{datacenter_networks: [{good}, {bad}, {tmp_path}/gone.txt]}}}}\n"
    found = doctor._traffic_lists(configured(tmp_path, text), None)
    assert [one.state for one in found] == ["ok", "problem", "problem"]
    assert ["unreadable" in found[1].text, "missing" in found[2].text] == [True, True]


def test_rules_that_keep_the_monitor_from_starting_are_a_problem(tmp_path: Path) -> None:
    [fine] = doctor._rules(configured(tmp_path), None)
    assert (fine.state, "enabled" in fine.text) == ("ok", True)
    own = tmp_path / "rules"
    own.mkdir()
    shipped = (DEFAULTS / "conversion_incident.yaml").read_text("utf-8")
    (own / "conversion_incident.yaml").write_text(shipped.replace("fact: incident.", "fact: incidents.", 1), "utf-8")
    [found] = doctor._rules(configured(tmp_path, f"alerts: {{rules_dir: {own}}}\n"), None)
    assert (found.state, "did you mean incident." in found.text) == ("problem", True)


def test_a_control_database_that_cannot_be_opened_is_told_in_a_sentence(tmp_path: Path) -> None:
    settings = configured(tmp_path)
    settings.data_dir.mkdir(exist_ok=True)
    (settings.data_dir / "control.sqlite").write_text("no database" * 100)
    [found] = doctor._control(settings, None)
    assert (found.state, found.text.partition(";")[0]) == ("problem", "the control database: file is not a database")

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from app.settings import load_settings, require_server
from core.errors import SettingsError


def problems_of(file: Path | None, environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load_settings(file, environ=environ)
    return refused.value.problems


def test_the_defaults_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={})
    assert (settings.redirect.port, settings.monitor.port, settings.monitor.otlp_port) == (8081, 8080, 4318)
    assert settings.store.read_port == 8123
    assert settings.monitor.host == "127.0.0.1"
    assert settings.data_dir == tmp_path / "clicktrace-data"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "clicktrace.yaml"
    file.write_text("monitor: {port: 9000, otlp_port: 9001}\ndata_dir: /srv/clicks\n")
    settings = load_settings(file, environ={"CLICKTRACE_MONITOR__PORT": "9100"})
    assert (settings.monitor.port, settings.monitor.otlp_port) == (9100, 9001)
    assert settings.data_dir == Path("/srv/clicks")


def test_the_file_is_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("monitor: {port: 9000}\n")
    assert load_settings(environ={"CLICKTRACE_CONFIG": str(file)}).monitor.port == 9000


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    settings = load_settings(environ={"CLICKTRACE_STORE__PASSWORD_FILE": str(secret)})
    assert settings.store.password == "hunter2"
    assert "hunter2" not in repr(settings)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "clicktrace.yaml"
    file.write_text("monitor: {port: 70000, tls_cert: a.pem}\njournal: {keep_days: 0}\nunheard_of: 1\n")
    found = problems_of(file, {"CLICKTRACE_MONITOR__PROT": "1", "CLICKTRACE_STORE__PASSWORD_FILE": "/nowhere"})
    text = "\n".join(found)
    for part in ("monitor.port", "journal.keep_days", "unheard_of", "monitor.prot", "/nowhere"):
        assert part in text


def test_half_a_certificate_is_a_problem() -> None:
    assert "set both or none" in problems_of(None, {"CLICKTRACE_MONITOR__TLS_CERT": "a.pem"})[0]


def test_an_account_listed_twice_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "clicktrace.yaml"
    file.write_text("accounts:\n- {platform: google, account: '1'}\n- {platform: google, account: '1'}\n")
    assert "google:1" in problems_of(file, {})[0]


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    assert "No such file" in problems_of(tmp_path / "missing.yaml", {})[0]


def test_a_public_address_needs_its_scheme() -> None:
    assert problems_of(None, {"CLICKTRACE_PUBLIC_URL": "clicks.example"})[0].startswith("public_url")


def test_settings_reach_a_child_process_unchanged() -> None:
    settings = load_settings(environ={})
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize("command", ["ship", "ingest"])
def test_cluster_parts_refuse_the_embedded_engine(command: str) -> None:
    with pytest.raises(SettingsError, match="more than one machine means the ClickHouse server and PostgreSQL"):
        require_server(load_settings(environ={}), command)

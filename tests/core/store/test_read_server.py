"""The read-only protocol against the real engine: what is answered, and every way around it that is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import httpx
import pytest
import uvicorn

from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.store.client import Store, open_store, protocol_connector
from core.store.read_server import build_read_app, same_key
from tests.core.lines import click

SECRET = "no reader may see this"


class Served:
    """A real server on a free loopback port."""

    def __init__(self, app: object) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))  # type: ignore[arg-type] # any ASGI app
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)


@pytest.fixture(scope="module")
def filled(engine_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with three clicks, shared by the tests of this file: none of them can change it."""
    opened = open_store(StoreConfig(), engine_dir, database="test_read_server")
    home = tmp_path_factory.mktemp("read")
    journal = JournalWriter(home / "journal", config=JournalConfig())
    journal.append_many([click(number) for number in range(3)])
    Shipper(opened, open_control("", home), home / "journal", config=JournalConfig()).run_once()
    journal.close()
    yield opened
    opened.command("DROP DATABASE test_read_server SYNC")
    opened.close()


@pytest.fixture(scope="module")
def served(filled: Store, engine_dir: Path) -> Iterator[Served]:
    server = Served(build_read_app(StoreConfig(max_query_seconds=2), engine_dir, database=filled.database))
    yield server
    server.stop()


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=20) as client:
        yield client


def test_the_real_clickhouse_client_reads_over_loopback(served: Served, filled: Store) -> None:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=served.port)
    assert client.query("SELECT count() FROM click").result_rows == [(3,)]
    answer = client.query(
        "SELECT o, ts, click_id, slug FROM click WHERE o >= {o:UInt64} ORDER BY o", parameters={"o": 1}
    )
    assert len(answer.result_rows) == 2
    assert answer.result_rows[0][3] == "spring"
    assert answer.result_rows[0][1].isoformat().startswith("2026-09-21T14:13:20")
    assert client.query_arrow("SELECT slug FROM click").num_rows == 3
    assert client.query_df("SELECT count() AS n FROM click")["n"][0] == 3
    assert filled.database in client.command("SELECT currentDatabase()")
    client.close()


def test_our_own_reader_sends_no_setting_that_the_protocol_locks(
    served: Served, filled: Store, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Store(protocol_connector(f"http://127.0.0.1:{served.port}/{filled.database}", password=""), database="x")
    assert reader.rows("SELECT slug, o FROM click ORDER BY o LIMIT 1") == [{"slug": "spring", "o": 0}]
    reader.close()
    assert [record.getMessage() for record in caplog.records if "setting" in record.getMessage()] == []


def test_get_post_ping_and_formats(http: httpx.Client) -> None:
    assert http.get("/ping").text == "Ok.\n"
    assert http.get("/").text == "Ok.\n"
    assert http.get("/", params={"query": "SELECT count() FROM click"}).text == "3\n"
    assert http.post("/", content="SELECT count() AS n FROM click FORMAT JSONEachRow").json() == {"n": 3}
    assert http.post("/", params={"default_format": "JSON"}, content="SELECT 1 AS a").json()["data"] == [{"a": 1}]
    answer = http.post("/", headers={"X-ClickHouse-Format": "CSV"}, content="SELECT 'x'")
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ('"x"\n', "CSV")
    assert http.post("/", params={"param_a": "it's"}, content="SELECT {a:String}").text == "it\\'s\n"
    assert http.get("/", params={"query": "SELECT name FROM tables LIMIT 1", "database": "system"}).status_code == 200
    for read in (
        "SHOW TABLES",
        "DESCRIBE TABLE click",
        "EXISTS TABLE click",
        "EXPLAIN SELECT 1",
        "(SELECT 1)",
        "select 1;",
    ):
        assert http.post("/", content=read).status_code == 200, read
    assert (
        http.post(
            "/", content="WITH x AS (SELECT 1 AS a) SELECT * FROM (WITH y AS (SELECT a FROM x) SELECT * FROM y)"
        ).text
        == "1\n"
    )
    assert http.post("/", content="SELECT sum(number) FROM numbers(10)").text == "45\n"
    assert http.post("/", content="SELECT 'INTO OUTFILE; KILL QUERY; file(1)' AS `system`").status_code == 200


REFUSED = [
    ("INSERT INTO click (o) VALUES (1)", "not_a_read"),
    ("WITH 1 AS x INSERT INTO click (o) SELECT x", "not_a_read"),
    ("CREATE TABLE t (a Int32) ENGINE = Memory", "not_a_read"),
    ("CREATE TEMPORARY TABLE t (a Int32)", "not_a_read"),
    ("ALTER TABLE click DELETE WHERE 1", "not_a_read"),
    ("DROP TABLE click", "not_a_read"),
    ("TRUNCATE TABLE click", "not_a_read"),
    ("OPTIMIZE TABLE click", "not_a_read"),
    ("ATTACH TABLE click", "not_a_read"),
    ("USE default", "not_a_read"),
    ("SET max_execution_time = 0", "not_a_read"),
    ("SET readonly = 0", "not_a_read"),
    ("EXPLAIN AST INSERT INTO click VALUES (1)", "not_a_read"),
    ("BACKUP TABLE click TO File('/tmp/x')", "not_a_read"),
    ("KILL QUERY WHERE 1", "kill"),
    ("/* SELECT */ kIlL /**/ QUERY WHERE 1", "kill"),
    ("SYSTEM FLUSH LOGS", "system"),
    ("-- SELECT\nSYSTEM STOP MERGES", "system"),
    ("SELECT 1 INTO OUTFILE '{there}/out'", "outfile"),
    ("SELECT 1 InTo/* */oUtFiLe '{there}/out'", "outfile"),
    ("SELECT 1 INTO -- x\n OUTFILE '{there}/out' TRUNCATE", "outfile"),
    ("WITH 1 AS a SELECT a INTO OUTFILE '{there}/out' FORMAT CSV", "outfile"),
    ("SELECT file('{there}/secret')", "table_function"),
    ("SELECT FILE ('{there}/secret')", "table_function"),
    ("SELECT fi/**/le('{there}/secret')", None),
    ("SELECT `file`('{there}/secret')", "table_function"),
    ("SELECT \"file\"('{there}/secret')", "table_function"),
    ("SELECT `fil\\x65`('{there}/secret')", "table_function"),
    ("SELECT * FROM file('{there}/secret', 'LineAsString')", "table_function"),
    ("SELECT * FROM /* ( */ file /* ) */ ('{there}/secret', 'LineAsString')", "table_function"),
    ("DESCRIBE file('{there}/secret', 'LineAsString')", "table_function"),
    (
        "WITH a AS (WITH b AS (SELECT * FROM file('{there}/secret', 'LineAsString')) SELECT * FROM b) SELECT * FROM a",
        "table_function",
    ),
    ("SELECT (SELECT any(line) FROM (SELECT * FROM fIlE('{there}/secret', 'LineAsString')))", "table_function"),
    ("SELECT 1 WHERE 1 IN (SELECT 1 FROM url('http://127.0.0.1:1/', 'CSV'))", "table_function"),
    ("SELECT * FROM s3('http://127.0.0.1:1/b/k', 'CSV')", "table_function"),
    ("SELECT * FROM remote('127.0.0.1', system.one)", "table_function"),
    ("SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", "table_function"),
    ("SELECT * FROM executable('id', 'TSV', 'a String')", "table_function"),
    ("SELECT * FROM python('x')", "table_function"),
    ("SELECT * FROM Python(os)", "table_function"),
    ("SELECT * FROM filesystem('/tmp')", "table_function"),
    ("SELECT aiGenerate('x')", "table_function"),
    ("SELECT 1; SELECT 2", None),
    ("SELECT 1; DROP TABLE click", None),
    ("SELECT 1 SETTINGS max_execution_time = 0", None),
    ("SELECT 1 SETTINGS readonly = 0", None),
    ("SELECT * FROM '{there}/secret'", None),
    ("SELECT * FROM `{there}/secret`", None),
    ("SELECT * FROM default.`{there}/secret.csv`", None),
    ("nonsense", None),
]


@pytest.mark.parametrize(("sql", "reason"), REFUSED, ids=[sql[:60] for sql, _ in REFUSED])
def test_what_is_not_a_plain_read_is_refused(http: httpx.Client, tmp_path: Path, sql: str, reason: str | None) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret.csv").write_text(SECRET)
    answer = http.post("/", content=sql.replace("{there}", str(tmp_path)))
    assert answer.status_code in (400, 403, 404), answer.text
    assert SECRET not in answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"].isdigit()
    if reason is not None:
        assert f"refused ({reason})" in answer.text
    assert not (tmp_path / "out").exists()
    assert http.post("/", content="SELECT count() FROM click").text == "3\n"


def test_limits_hold_whatever_a_client_sends(http: httpx.Client) -> None:
    begun = time.monotonic()
    settings = {"max_execution_time": "0", "readonly": "0", "max_memory_usage": "0"}
    answer = http.post(
        "/", params=settings, content="SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sin(number))"
    )
    assert answer.status_code == 408, answer.text
    assert time.monotonic() - begun < 15
    assert http.post("/", params={"param_x": "1", "database": "a; DROP"}, content="SELECT 1").status_code == 400
    assert http.post("/", params={"default_format": "CSV; x"}, content="SELECT 1").status_code == 400
    assert http.post("/", content="SELECT '" + "x" * (1 << 20) + "'").status_code == 413


def test_with_a_read_key_nothing_is_answered_without_it(filled: Store, engine_dir: Path) -> None:
    server = Served(build_read_app(StoreConfig(), engine_dir, database=filled.database, key_check=same_key("k-1")))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
            assert client.get("/ping").status_code == 200
            assert client.get("/", params={"query": "SELECT 1"}).status_code == 401
            assert client.get("/", params={"query": "SELECT 1", "password": "wrong"}).status_code == 401
            assert client.get("/", params={"query": "SELECT 1", "password": "k-1"}).status_code == 200
            for headers in ({"X-ClickHouse-Key": "k-1"}, {"Authorization": "Bearer k-1"}):
                assert client.get("/", params={"query": "SELECT 1"}, headers=headers).text == "1\n"
        reader = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, username="any", password="k-1")
        assert reader.query("SELECT 1").result_rows == [(1,)]
        reader.close()
    finally:
        server.stop()

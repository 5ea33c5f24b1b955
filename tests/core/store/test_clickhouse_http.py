"""The store over ClickHouse's HTTP protocol: values, errors and once-only inserts as with the embedded engine; port 8123 before such a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.errors import StoreError
from core.settings import StoreConfig
from core.store.client import Store, open_store, protocol_connector
from core.store.read_server import build_read_app
from tests.clickhouse_server import Server, server
from tests.core.store.test_client import LEAKS
from tests.core.store.test_read_server import Served

#: Everything that an escape could be lost on, and more of it than an address holds.
VALUES: dict[str, tuple[str, object]] = {
    "text": ("String", "it's \\ a\nline\twith 'quotes', \"double\" ones, \\N and \\x41"),
    "nothing": ("Nullable(String)", None),
    "list": ("Array(String)", ["a'b", "c\\d", "e\nf", ""]),
    "numbers": ("Array(Int64)", [-1, 0, 2**62]),
    "much": ("Array(String)", [f"google:1:{number}" for number in range(2000)]),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture(scope="module")
def far(engine: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(StoreConfig(url=engine.url), tmp_path_factory.mktemp("home"), database="far")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def front(engine: Server) -> Iterator[Served]:
    """Port 8123 before that server."""
    served = Served(build_read_app(StoreConfig(url=engine.url), Path(), database="far"))
    yield served
    served.stop()


@pytest.mark.parametrize("name", VALUES)
def test_a_bound_value_arrives_as_it_was_given(far: Store, front: Served, name: str) -> None:
    kind, value = VALUES[name]
    reader = Store(protocol_connector(f"http://127.0.0.1:{front.port}/far", password=""), database="far")
    for store in (far, reader):
        assert store.rows(f"SELECT {{{name}:{kind}}} AS value", {name: value}) == [{"value": value}]
    reader.close()


def test_a_form_that_is_none_and_one_too_long_are_refused(front: Served) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{front.port}") as client:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert client.post("/", content=b"no form", headers=headers).status_code == 400
        assert client.post("/", content=b"--x\r\n" + b"y" * (1 << 20), headers=headers).status_code == 413
        assert client.post("/", files={"query": (None, "DROP TABLE click")}).status_code == 403
        assert client.post("/", files={"query": (None, "SELECT {a:UInt8}"), "param_a": (None, "7")}).text == "7\n"


@pytest.mark.parametrize(("call", "kind"), [case[1:] for case in LEAKS], ids=[case[0] for case in LEAKS])
def test_only_our_own_errors_leave_the_store(
    far: Store, call: Callable[[Store], object], kind: type[StoreError]
) -> None:
    with pytest.raises(StoreError) as error:
        call(far)
    assert type(error.value) is kind, error.value
    assert far.rows("SELECT 1 AS a") == [{"a": 1}], "and the store goes on"


def test_a_block_under_the_same_token_goes_in_once(far: Store) -> None:
    settings = {"insert_deduplication_token": "t", "insert_deduplicate": 1, "log_comment": "segment"}
    for _ in range(2):
        far.raw_insert("inbox_touch", b'{"o":1,"ts":1,"known_at":1,"name":"page_view"}', settings=settings)
    assert far.rows("SELECT segment, count() AS n FROM touch GROUP BY segment") == [{"segment": "segment", "n": 1}]

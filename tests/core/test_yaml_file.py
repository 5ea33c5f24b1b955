"""Files as people write them: what is wrong is one sentence with the line, and never quotes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.yaml_file import YamlFile, read_yaml

SECRET = "hunter2"


def read(tmp_path: Path, text: str | bytes) -> YamlFile:
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path, called="a.yaml", expected="sections")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"a:\n  password: {SECRET}: x\n",
            "a.yaml: not YAML at line 2, column 20: mapping values are not allowed here; put a",
        ),
        (
            f"a:\n\tpassword: {SECRET}\n",
            "a.yaml: not YAML at line 2, column 1: found character '\\t' that cannot start any",
        ),
        (f"password: @{SECRET}\n", "put the value in quotes"),
        (f"password: '{SECRET}\n", "close the quotes that are open"),
        (f"a: [{SECRET}, 2\n", "close the bracket that is open"),
        (f"a:\n   b: {SECRET}\n  c: 2\n", "indent the line as its neighbours"),
        ("a: 2026-13-45\n", "a.yaml: not YAML: month must be in 1..12"),
        ("a: b\n---\na: c\n", "found another document; keep one"),
        ("- a\n- b\n", "a.yaml: expected sections, found a list"),
        ("just words\n", "a.yaml: expected sections, found a single value"),
        (b"a: \xff\xfe\n", "a.yaml: not YAML: save it as UTF-8 text"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: " + "[" * 3000, "a.yaml: not YAML"),
    ],
)
def test_what_is_no_yaml_is_one_sentence_that_quotes_nothing(text: str | bytes, said: str, tmp_path: Path) -> None:
    file = read(tmp_path, text)
    assert file.values == {}
    [problem] = file.problems
    assert said in problem
    assert "\n" not in problem
    assert SECRET not in problem


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert read_yaml(tmp_path / "no.yaml", expected="x").problems == [
        f"{tmp_path}/no.yaml: cannot be read: No such file or directory"
    ]
    assert read_yaml(tmp_path, called="x", expected="x").problems == ["x: cannot be read: Is a directory"]


def test_each_place_has_its_line_and_what_is_missing_that_of_what_is_around_it(tmp_path: Path) -> None:
    file = read(tmp_path, "# heading\na:\n  b:\n  - c: 1\n  - c: 2\n")
    assert file.where(("a", "b", 1, "c")) == "a.yaml line 5"
    assert file.line(("a", "b", 0, "not_there")) == "line 4"
    assert file.line(("z",)) == ""


def test_a_name_that_stands_twice_is_a_problem_once(tmp_path: Path) -> None:
    file = read(tmp_path, "a:\n  b: 1\nc: 2\na:\n  b: 2\n")
    assert file.problems == ["a: stands twice, on line 1 and line 4 of a.yaml: keep one"]


def test_names_stay_what_was_written_and_anchors_work(tmp_path: Path) -> None:
    file = read(tmp_path, "on: &x {1: yes}\nb: {<<: *x, c: 2}\nd: *x\n")
    assert file.values == {"on": {"1": True}, "b": {"1": True, "c": 2}, "d": {"1": True}}
    assert file.problems == []


def test_a_byte_order_mark_and_an_empty_file_are_no_problem(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\n").values == {"a": 1}
    assert read(tmp_path, "# nothing yet\n") == YamlFile("a.yaml")

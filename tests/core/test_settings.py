"""What is wrong with settings is said in words: the name that was meant, the line or variable it stands in, never its value."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, field_validator

from core.errors import SettingsError
from core.settings import Section, load


class Account(Section):
    platform: Literal["google", "meta"]
    account: str = Field(min_length=1, description="The platform's own ID.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    key_file: str = ""


class Server(Section):
    port: int = Field(80, ge=0, le=65535)
    password: str = Field("", repr=False)
    ratio: float = Field(1.0, gt=0, lt=2)
    on: bool = True
    level: str = Field("info", pattern="^(debug|info|warning)$")
    names: dict[str, str | Literal["x"]] = Field({})

    @field_validator("password")
    @classmethod
    def _long(cls, value: str) -> str:
        if value and len(value) < 3:
            raise ValueError("write at least 3 characters")
        return value


class Store(Section):
    read_port: int = 1
    networks: tuple[str, ...] = ()


class All(Section):
    server: Server = Server()
    store: Store = Store()
    accounts: list[Account] = Field([])


def problems(tmp_path: Path, text: str = "", **environ: str) -> list[str]:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load(All, file=file, environ={f"CLICKTRACE_{name}": value for name, value in environ.items()})
    return [problem.replace(f"{tmp_path}/", "") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server: {prot: 1}", "server.prot: there is no such setting; did you mean port? (c.yaml line 1)"),
        (
            "server:\n  read_port: 1",
            "server.read_port: there is no such setting; there is store.read_port (c.yaml line 2)",
        ),
        ("store: {xyz: 1}", "store.xyz: there is no such setting; known are networks, read_port (c.yaml line 1)"),
        ("port: 1", "port: there is no such setting; there is server.port (c.yaml line 1)"),
        ("server:\n  port: 70000", "server.port: must be at most 65535 (c.yaml line 2)"),
        ("server: {port: -1}", "server.port: must be at least 0 (c.yaml line 1)"),
        ("server: {port: 1.5}", "server.port: must be a whole number (c.yaml line 1)"),
        ("server: {port: }", "server.port: must be a whole number (c.yaml line 1)"),
        ("server: {ratio: 0}", "server.ratio: must be greater than 0.0 (c.yaml line 1)"),
        ("server: {ratio: 2}", "server.ratio: must be less than 2.0 (c.yaml line 1)"),
        ("server: {ratio: much}", "server.ratio: must be a number (c.yaml line 1)"),
        ("server: {on: perhaps}", "server.on: must be true or false (c.yaml line 1)"),
        ("server: {password: 12345}", "server.password: must be text: put it in quotes (c.yaml line 1)"),
        (
            "server: {password: }",
            "server.password: must be text: it is empty; write it, or leave the line out (c.yaml line 1)",
        ),
        ("server: {password: ab}", "server.password: write at least 3 characters (c.yaml line 1)"),
        (
            "server: {level: warn}",
            "server.level: must be debug, info or warning; did you mean warning? (c.yaml line 1)",
        ),
        ("server: {names: {a: [1]}}", "server.names.a: must be text: put it in quotes (c.yaml line 1)"),
        (
            "server: 5",
            "server: must be a section: write its fields as `name: value`, indented, one on a line (c.yaml line 1)",
        ),
        ("store:\n  networks: 10.0.0.0/8", "store.networks: must be a list: write [a, b], or each item on a line"),
    ],
)
def test_a_problem_is_told_in_plain_words_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    assert [problem[: len(said)] for problem in problems(tmp_path, text)][:1] == [said]


def test_every_problem_of_a_list_names_the_item_and_its_line(tmp_path: Path) -> None:
    text = "accounts:\n- platform: googel\n  account: 17\n  currency: eur\n- account: ''\n  keyfile: x\n"
    assert problems(tmp_path, text) == [
        "accounts.0.platform: must be google or meta; did you mean google? (c.yaml line 2)",
        "accounts.0.account: must be text: put it in quotes (c.yaml line 3)",
        "accounts.0.currency: must be three capital letters, e.g. EUR (c.yaml line 4)",
        "accounts.1.platform: is missing (c.yaml line 5)",
        "accounts.1.account: must not be empty: The platform's own ID (c.yaml line 5)",
        "accounts.1.keyfile: there is no such setting; did you mean key_file? (c.yaml line 6)",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SERVER__PASWORD", "there is no setting server.pasword; did you mean CLICKTRACE_SERVER__PASSWORD?"),
        ("SERVER_PASSWORD", "there is no setting server_password; did you mean CLICKTRACE_SERVER__PASSWORD?"),
        ("PORT", "there is no setting port; did you mean CLICKTRACE_SERVER__PORT?"),
        ("SERVER__PASWORD_FILE", "there is no setting server.pasword; did you mean CLICKTRACE_SERVER__PASSWORD_FILE?"),
        ("XYZ", "there is no setting xyz; docs/configuration.md lists them all"),
        ("ACCOUNTS__0__ACCOUNT", "accounts is one value: write the whole of it as YAML or JSON in CLICKTRACE_ACCOUNTS"),
        ("SERVER__PASSWORD_FILE", "cannot read the file it names (a path belongs here, not the secret): No such file"),
    ],
)
def test_a_variable_that_sets_nothing_says_which_was_meant_and_not_its_value(
    name: str, said: str, tmp_path: Path
) -> None:
    [problem] = problems(tmp_path, **{name: "hunter2"})
    assert problem.startswith(f"CLICKTRACE_{name}: {said}")
    assert "hunter2" not in problem


def test_a_wrong_value_of_a_variable_names_the_variable_and_not_the_line_it_covers(tmp_path: Path) -> None:
    assert problems(tmp_path, "server: {port: 1}", SERVER__PORT="hunter2") == [
        "server.port: must be a whole number (CLICKTRACE_SERVER__PORT)"
    ]
    assert problems(tmp_path, ACCOUNTS="[{platform: hunter2, account: a}]") == [
        "accounts.0.platform: must be google or meta (CLICKTRACE_ACCOUNTS)"
    ]
    [problem] = problems(tmp_path, STORE__NETWORKS="[hunter2")
    assert problem.startswith("store.networks: must be a list")


def test_a_path_of_a_secret_is_shown_and_what_stands_in_it_is_not(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xffhunter2")
    assert problems(tmp_path, SERVER__PASSWORD_FILE=str(secret)) == [
        "CLICKTRACE_SERVER__PASSWORD_FILE: cannot read secret: it is not UTF-8 text"
    ]


def test_a_section_with_only_its_heading_is_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("server:\n#  port: 1\nstore:\n  read_port: 7\n")
    loaded = load(All, file=file, environ={"CLICKTRACE_SERVER__PORT": "5"})
    assert (loaded.server.port, loaded.store.read_port) == (5, 7)

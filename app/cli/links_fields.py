"""Options of `links add` and `links edit`, one for each field of a link, with the words of its definition."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import typer
import yaml

from core.errors import Invalid
from redirect.links.model import LinkDefinition

#: Arguments of the command itself.
_ARGUMENTS = ("slug", "destination", "domain")
#: Options that every command has: last in its help.
_LAST = ("url", "key", "json")
#: Options that are not called like their field.
_NAMES = {
    "parallel_tracking": "--parallel/--no-parallel",
    "pass_personal": "--pass-personal/--drop-personal",
    "tags": "--tag",
    "variants": "--variant",
}
_HELP = {
    "tags": "Repeat for several; '' for none.",
    "variants": "name=url or name=url@weight; repeat for several, '' for none.",
    "rules": "JSON or YAML file with a list of rules; '' for none.",
}

Values = dict[str, Any]


def with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each field; what was said arrives as its argument `values`."""

    def run(**given: Any) -> None:
        said = {name: given.pop(name) for name in OPTIONS if name in given}
        command(values=_values(said), **given)

    own = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [*(p for p in own if p.name != "values"), *(_parameter(name) for name in OPTIONS)]
    in_order = sorted(parameters, key=lambda each: (each.default is not each.empty, each.name in _LAST))
    run.__signature__ = inspect.Signature(in_order)  # type: ignore[attr-defined]  # what Typer reads the options from
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in in_order}
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run


def read_fields(path: Path | None) -> Values:
    """Fields of a link from a JSON or YAML file ("-" = standard input)."""
    if path is None:
        return {}
    found = _read(path)
    if not isinstance(found, dict):
        raise Invalid("malformed", f"{path}: write the fields of one link as an object")
    return found


def _values(said: Values) -> Values:
    values = {name: value for name, value in said.items() if value is not None}
    if "tags" in values:
        values["tags"] = [tag for tag in values["tags"] if tag]
    if "variants" in values:
        values["variants"] = [_variant(text) for text in values["variants"] if text]
    if "rules" in values:
        values["rules"] = _read(Path(values["rules"])) if values["rules"] else []
    return values


def _variant(text: str) -> Values:
    """``name=url@weight``; what follows the last @ is a weight only when it is a number."""
    name, separator, destination = text.partition("=")
    if not separator:
        raise Invalid("variants", f"--variant {text}: write name=url or name=url@weight")
    url, at, weight = destination.rpartition("@")
    if at and weight.isascii() and weight.isdigit():
        return {"name": name, "destination": url, "weight": int(weight[:9])}
    return {"name": name, "destination": destination}


def _read(path: Path) -> Any:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
        return yaml.safe_load(text)  # JSON is YAML, too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Invalid("malformed", f"{path}: {error}") from None


def _parameter(name: str) -> inspect.Parameter:
    kind, text = OPTIONS[name]
    flag = _NAMES.get(name, "--" + name.replace("_", "-") + ("/--no-" + name.replace("_", "-") if kind is bool else ""))
    annotation = Annotated[kind | None, typer.Option(flag, help=text, show_default=False)]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation)


def _options() -> Iterator[tuple[str, tuple[Any, str]]]:
    """(field, (type on the command line, help)) of every field that is no argument."""
    for name, hint in get_type_hints(LinkDefinition, include_extras=True).items():
        kind, *metas = get_args(hint)
        help_text = next((m.description for m in metas if isinstance(m, msgspec.Meta) and m.description), "")
        if name not in _ARGUMENTS:
            yield name, (_on_command_line(name, kind), _HELP.get(name, help_text + _choices(kind)))


def _on_command_line(name: str, kind: Any) -> Any:
    if name == "rules":
        return str
    if get_origin(kind) is tuple:
        return list[str]
    if get_origin(kind) is Literal:
        return type(get_args(kind)[0])
    return kind


def _choices(kind: Any) -> str:
    named = [str(choice) for choice in get_args(kind) if choice != ""] if get_origin(kind) is Literal else []
    return f" One of {', '.join(named)}." if named else ""


OPTIONS = dict(_options())

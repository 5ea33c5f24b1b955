"""The HTTP shapes of links, made from `LinkDefinition`: a field that is added there is in the API, with its limits and its description."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel, ConfigDict, Field, create_model

from redirect.links.model import LinkDefinition

IDENTITY_FIELDS: Final = ("slug", "domain")
#: Versions are counted in a 32-bit column.
MAX_VERSION: Final = 2**31 - 1
MAX_BULK: Final = 100


@cache
def _model_of(struct: type[msgspec.Struct]) -> Any:
    """A pydantic model with the fields of a struct, nested ones too; unknown fields are refused."""
    fields: Any = {name: (kind, Field(default, **limits)) for name, kind, default, limits in _fields(struct)}
    return create_model(struct.__name__, __config__=ConfigDict(extra="forbid"), __doc__=struct.__doc__, **fields)


def _partial(name: str, *, without: tuple[str, ...] = (), needed: tuple[str, ...] = ()) -> Any:
    """A model of a link whose fields may all be left out, but for those that are `needed`."""
    fields: Any = {
        field: (kind, Field(..., **limits)) if field in needed else (kind | None, Field(None, **limits))
        for field, kind, _, limits in _fields(LinkDefinition)
        if field not in without
    }
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def _fields(struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
    """(name, type, default, limits) of each field, as pydantic knows them."""
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        yield field.name, _plain(hint), _default(field), _limits(hint)


def _plain(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin is tuple:
        return list[_plain(arguments[0])]  # type: ignore[misc]  # a type that is made at run time
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _model_of(hint)
    return hint


def _limits(hint: Any) -> dict[str, Any]:
    metas = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    names = ("description", "max_length", "ge", "le")
    return {name: getattr(meta, name) for meta in metas for name in names if getattr(meta, name) is not None}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    if field.default is msgspec.NODEFAULT:
        return ...
    return list(field.default) if isinstance(field.default, tuple) else field.default


# Made at run time, so mypy sees Any: the classes below give them names that annotations can use.
_Changes: Any = _partial("_Changes", without=IDENTITY_FIELDS)
_New: Any = _partial("_New", needed=("slug", "destination"))
_Whole: Any = _model_of(LinkDefinition)


class LinkChanges(_Changes):  # type: ignore[misc]
    """Fields of a link that may change; what is left out, or null, stays as it is."""

    version: int | None = Field(
        None,
        ge=1,
        le=MAX_VERSION,
        description="The version that the changes were made for; another one is refused (409).",
    )


class LinkBody(_New):  # type: ignore[misc]
    """A new link. Without `parallel_tracking`, Google's links have it, because Google always works that way."""


class LinkView(_Whole):  # type: ignore[misc]
    """A link as it is answered; times in milliseconds since the epoch."""

    link_id: str
    version: int
    updated_at: int
    short_url: str
    tracking_template: str = Field(description="To be pasted into the ad platform; empty when its account is unknown.")


class LinkPage(BaseModel):
    """`next` is the cursor of the next page, null on the last one."""

    links: list[LinkView]
    next: str | None


class TagView(BaseModel):
    tag: str
    links: int = Field(description="How many links have it.")


class TagPage(BaseModel):
    """Tags in use by name; `next` is the cursor of the next page, null on the last one."""

    tags: list[TagView]
    next: str | None


class FieldChange(BaseModel):
    before: Any
    after: Any


class ChangeView(BaseModel):
    """One version: who made it, what changed (empty for the first one), and all of it."""

    version: int
    author: str
    changed_at: int
    changed: dict[str, FieldChange]
    definition: dict[str, Any]


class LinkHistory(BaseModel):
    """Versions, oldest first; `next` is the cursor of the next page, null on the last one."""

    link_id: str
    changes: list[ChangeView]
    next: str | None


class UndoBody(BaseModel):
    """Without `to`, the version before the last one comes back."""

    model_config = ConfigDict(extra="forbid")

    to: int | None = Field(None, ge=1, le=MAX_VERSION, description="The version to bring back.")
    version: int | None = Field(None, ge=1, le=MAX_VERSION, description="The last version as you know it.")


class BulkAdd(BaseModel):
    model_config = ConfigDict(extra="forbid")

    op: Literal["add"]
    link: LinkBody


class _Named(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=256, description="Slug or link ID.")
    domain: str = Field("", max_length=255)


class BulkEdit(_Named):
    op: Literal["edit"]
    changes: LinkChanges


class BulkSwitch(_Named):
    op: Literal["disable", "enable", "undo"]
    version: int | None = Field(None, ge=1, le=MAX_VERSION)


BulkItem = Annotated[BulkAdd | BulkEdit | BulkSwitch, Field(discriminator="op")]


class BulkResult(BaseModel):
    """What became of one item: 201 added, 200 changed or as it was, 4xx refused with a word."""

    index: int
    status: int
    id: str = ""
    version: int = 0
    reason: str = ""
    detail: str = ""


class BulkResults(BaseModel):
    results: list[BulkResult]


def link_values(body: BaseModel) -> dict[str, Any]:
    """What was said in a body, without `version`."""
    return body.model_dump(exclude_unset=True, exclude_none=True, exclude={"version"})

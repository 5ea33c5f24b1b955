"""Up to 100 changes of links in one call: each stands alone, each has its own result."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.errors import Invalid, Refusal
from core.principal import Principal
from redirect.links.bodies import MAX_BULK, BulkAdd, BulkEdit, BulkItem, BulkResult, BulkSwitch, link_values
from redirect.links.desk import LinkDesk
from redirect.links.model import Link

_ITEM: TypeAdapter[BulkAdd | BulkEdit | BulkSwitch] = TypeAdapter(BulkItem)


def carry_out(items: list[Any], desk: LinkDesk, principal: Principal) -> list[BulkResult]:
    """Do the items in their order; a refused one stops none of the others.

    Raises:
        Invalid: `too_many_items` (413): nothing was done.
    """
    if len(items) > MAX_BULK:
        raise Invalid("too_many_items", f"{len(items)} items: send at most {MAX_BULK} at once", status=413)
    return [_result(index, item, desk, principal) for index, item in enumerate(items)]


def _result(index: int, raw: Any, desk: LinkDesk, principal: Principal) -> BulkResult:
    try:
        item = _ITEM.validate_python(raw)
        link = _do(item, desk, principal)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return BulkResult(index=index, status=422, reason="invalid_request", detail=found)
    except Refusal as refusal:
        return BulkResult(index=index, status=refusal.status, reason=refusal.reason, detail=refusal.detail)
    return BulkResult(
        index=index, status=201 if isinstance(item, BulkAdd) else 200, id=link.link_id, version=link.version
    )


def _do(item: BulkAdd | BulkEdit | BulkSwitch, desk: LinkDesk, principal: Principal) -> Link:
    if isinstance(item, BulkAdd):
        return desk.add(link_values(item.link), principal)
    link = desk.named(item.name, domain=item.domain, principal=principal)
    if isinstance(item, BulkEdit):
        return desk.edit(link, link_values(item.changes), principal, version=item.changes.version)
    if item.op == "undo":
        return desk.undo(link, principal, version=item.version)
    return desk.edit(link, {"disabled": item.op == "disable"}, principal, version=item.version)

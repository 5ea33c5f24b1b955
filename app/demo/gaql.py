"""The subset of the Google Ads Query Language that the product asks in (Google Ads API documentation, "GAQL grammar")."""

from __future__ import annotations

import re

import msgspec

_QUERY = re.compile(
    r"^\s*SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<resource>\w+)(?:\s+WHERE\s+(?P<where>.+?))?"
    r"(?:\s+ORDER\s+BY\s+.+?)?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*$",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(
    r"^(?P<field>[\w.]+)\s*(?P<operator>=|!=|>=|<=|\bIN\b|\bBETWEEN\b)\s*(?P<value>.+)$", re.IGNORECASE | re.DOTALL
)
_BETWEEN = re.compile(r"BETWEEN\s+('[^']*'|\S+)\s+AND\s+('[^']*'|\S+)", re.IGNORECASE)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """`conditions` are (field, operator, values); BETWEEN has two values. `limit` 0 = none."""

    fields: list[str]
    resource: str
    conditions: list[tuple[str, str, list[str]]]
    limit: int = 0

    def values(self, field: str, operator: str) -> list[str]:
        """The values a field is compared with by `operator`, empty when it is not."""
        return next((values for name, own, values in self.conditions if (name, own) == (field, operator)), [])


def parse(text: str) -> Query:
    """A query.

    Raises:
        ValueError: not of this subset.
    """
    found = _QUERY.match(text)
    if found is None:
        raise ValueError("expected SELECT … FROM … [WHERE …]")
    return Query(
        fields=[field.strip() for field in found["fields"].split(",")],
        resource=found["resource"].lower(),
        conditions=[_condition(part) for part in _and(found["where"] or "")],
        limit=int(found["limit"] or 0),
    )


def _and(where: str) -> list[str]:
    """The conditions of a WHERE clause; the AND inside BETWEEN is not one between conditions."""
    shielded = _BETWEEN.sub(r"BETWEEN \1 \2", where)
    return [part.strip() for part in re.split(r"\s+AND\s+", shielded, flags=re.IGNORECASE) if part.strip()]


def _condition(text: str) -> tuple[str, str, list[str]]:
    found = _CONDITION.match(text)
    if found is None:
        raise ValueError(f"condition not understood: {text}")
    operator = found["operator"].upper()
    values = re.findall(r"'[^']*'|[^\s,()]+", found["value"])
    return found["field"], operator, [value.strip("'") for value in values]

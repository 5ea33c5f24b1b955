"""Everything by which one person is known, found from one identifier in the store.

Clicks lead to their visitor and back; a conversion ties its click, visitor, order, CRM ID, e-mail and phone together. What can stand for many
people leads nowhere: a click ID that hits of several visitors carry (a shared URL), and platform IDs that are no identity (design §4).
"""

from __future__ import annotations

from typing import Final

from core.erasure.identifiers import NAMES, Name, Subject, derived_click_ids
from core.errors import Invalid
from core.store.client import Store

Known = dict[Name, set[str]]

#: A key that leads to more than this belongs to no single person: a test address, a till, a call centre.
MOST_IDENTIFIERS: Final = 1_000
_NOBODY: Final = "0" * 32

_FIXED = "SELECT toFixedString(unhex(arrayJoin({{{name}:Array(String)}})), 16)"
_CLICKS: Final = f"""
SELECT DISTINCT lower(hex(click_id)) AS click_id, lower(hex(visitor_id)) AS visitor_id FROM
(
    SELECT click_id, visitor_id FROM click WHERE click_id IN ({_FIXED.format(name="click_id")})
    UNION ALL
    SELECT click_id, visitor_id FROM click WHERE visitor_id IN ({_FIXED.format(name="visitor_id")})
    UNION ALL
    SELECT click_id, visitor_id FROM touch WHERE visitor_id IN ({_FIXED.format(name="visitor_id")})
)"""
_SHARED: Final = f"""
SELECT lower(hex(click_id)) AS shared FROM click WHERE click_id IN ({_FIXED.format(name="click_id")})
GROUP BY click_id HAVING uniqExactIf(visitor_id, visitor_id != toFixedString('', 16)) > 1"""
_KEYS: Final[tuple[Name, ...]] = ("fact_id", "order_id", "crm_id", "email_sha256", "phone_sha256")
_CONVERSIONS: Final = f"""
SELECT DISTINCT
    fact_id, order_id, crm_id, email_sha256, phone_sha256, lower(hex(click_id)) AS click_id, lower(hex(visitor_id)) AS visitor_id,
    platform_ids
FROM conversion
WHERE conversion.click_id IN ({_FIXED.format(name="click_id")})
    OR conversion.visitor_id IN ({_FIXED.format(name="visitor_id")})
    OR {" OR ".join(f"({key} != '' AND {key} IN {{{key}:Array(String)}})" for key in _KEYS)}
    OR arrayExists((parameter, value) -> lower(hex(substring(SHA256(concat(parameter, ':', value)), 1, 16))) IN {{click_id:Array(String)}},
        mapKeys(platform_ids), mapValues(platform_ids))"""


def person_of(store: Store, subject: Subject) -> Known:
    """The identifiers of the person that `subject` names, its own included, whether the store knows it or not.

    Raises:
        Invalid: `too_many`: it stands for more than one person.
        StoreError: the store did not answer.
    """
    known: Known = {name: set() for name in NAMES}
    known[subject.name].add(subject.value)
    size = 0
    while size != (size := sum(map(len, known.values()))):
        if size > MOST_IDENTIFIERS:
            detail = f"this {subject.name} leads to more than {MOST_IDENTIFIERS} identifiers, so it is not one person's: name an order or a click"
            raise Invalid("too_many", detail)
        shared = _shared(store, known)
        for name, values in _linked(store, {**known, "click_id": known["click_id"] - shared}).items():
            known[name] |= values - shared if name == "click_id" else values
        known["click_id"] -= _shared(store, known) - ({subject.value} if subject.name == "click_id" else set())
    return known


def _shared(store: Store, known: Known) -> set[str]:
    rows = store.query(_SHARED, _params(known), settings={"log_queries": 0}).to_pylist()
    return {str(row["shared"]) for row in rows}


def _linked(store: Store, known: Known) -> Known:
    """What stands in one row with something known."""
    found: Known = {name: set() for name in NAMES}
    params = _params(known)
    rows = store.query(_CLICKS, params, settings={"log_queries": 0}).to_pylist()
    conversions = store.query(_CONVERSIONS, params, settings={"log_queries": 0}).to_pylist(maps_as_pydicts="strict")
    for row in (*rows, *conversions):
        found["click_id"] |= set(derived_click_ids(row.pop("platform_ids", {})))
        for name, value in row.items():
            if value and value != _NOBODY:
                found[name].add(value)  # every other column has an identifier's name
    return found


def _params(known: Known) -> dict[str, object]:
    return {name: sorted(values) for name, values in known.items()}

"""Brings the links of a file into the store: what is new is added, what differs is changed, what is the same is left alone.

A line applies to the link of its slug and domain. What it does not mention stays as it is; a new link has the defaults there. Lines are
written many at a time; when somebody else is at work on the same links, one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from core.errors import Conflict, Invalid, Refusal
from core.principal import Principal
from redirect.links.desk import LinkDesk, check_client
from redirect.links.file_lines import Line
from redirect.links.model import Link, LinkDefinition, check_address
from redirect.links.store import changed

#: Lines in one transaction.
BATCH: Final = 500
#: Refusals that the answer shows one by one; the rest is counted.
MAX_SHOWN: Final = 1000

Key = tuple[str, str]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was not taken, and how to mend it."""

    line: int
    slug: str
    reason: str
    detail: str


class Summary(msgspec.Struct, kw_only=True):
    """What an import did, or with `dry_run` would do."""

    dry_run: bool
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    errors: list[Refused] = []

    def refuse(self, line: Line, refusal: Refusal) -> None:
        self.refused += 1
        if len(self.errors) < MAX_SHOWN:
            slug, detail = _writable(str(line.values.get("slug", ""))[:128]), _writable(refusal.detail)
            self.errors.append(Refused(line=line.number, slug=slug, reason=refusal.reason, detail=detail))


class Importer:
    """Imports for the holder of one key. An instance serves one file."""

    def __init__(self, desk: LinkDesk, principal: Principal, *, dry_run: bool = False) -> None:
        self.summary = Summary(dry_run=dry_run)
        self._desk = desk
        self._principal = principal
        #: With `dry_run`, what the links would be by now: a later line on the same link is compared with it.
        self._would_be: dict[Key, LinkDefinition] = {}

    def run(self, lines: Iterable[Line]) -> Summary:
        """Take all lines; whatever is wrong with one of them stops none of the others."""
        batch: dict[Key, Line] = {}
        for line in lines:
            try:
                key = _key(line)
            except Invalid as problem:
                self.summary.refuse(line, problem)
                continue
            if key in batch or len(batch) == BATCH:  # a second line on the same link sees what the first one did
                self._take(batch)
                batch = {}
            batch[key] = line
        self._take(batch)
        self.summary.errors.sort(key=lambda error: error.line)
        return self.summary

    def _take(self, batch: dict[Key, Line]) -> None:
        try:
            self._save(batch)
        except Conflict as conflict:
            if len(batch) == 1:
                self.summary.refuse(next(iter(batch.values())), conflict)
                return
            for key, line in batch.items():
                self._take({key: line})

    def _save(self, batch: dict[Key, Line]) -> None:
        """Sort a batch into new, changed and unchanged, write it, and only then count it."""
        present = self._desk.links.find_all(batch)
        new: dict[Key, LinkDefinition] = {}
        replaced: dict[Key, tuple[Link | None, LinkDefinition]] = {}
        refused: list[tuple[Line, Refusal]] = []
        for key, line in batch.items():
            try:
                link = present.get(key)
                before = self._would_be.get(key) or (link.definition if link else None)
                wanted = self._wanted(line.values, before)
                if before is None:
                    new[key] = wanted
                elif wanted != before:
                    replaced[key] = (link, wanted)
            except Refusal as refusal:
                refused.append((line, refusal))
        if self.summary.dry_run:
            self._would_be |= new | {key: wanted for key, (_, wanted) in replaced.items()}
        else:
            pairs = [(link, wanted) for link, wanted in replaced.values() if link is not None]
            self._desk.links.save(new=list(new.values()), replaced=pairs, author=self._principal.name)
        self.summary.added += len(new)
        self.summary.changed += len(replaced)
        self.summary.unchanged += len(batch) - len(new) - len(replaced) - len(refused)
        for line, problem in refused:
            self.summary.refuse(line, problem)

    def _wanted(self, values: dict[str, Any], before: LinkDefinition | None) -> LinkDefinition:
        if before is None:
            return self._desk.links.checked(self._desk.new(values, self._principal))
        if not self._principal.sees(before.client):
            raise Conflict("link_exists", f"{before.domain}/{before.slug} is taken: choose another slug")
        same_link = {**values, "slug": before.slug, "domain": before.domain}
        wanted = self._desk.links.checked(changed(before, same_link))
        check_client(self._principal, wanted.client)
        return wanted


def _key(line: Line) -> Key:
    """Slug and domain in normal form.

    Raises:
        Invalid: `slug`, `domain`, or why the line cannot be read.
    """
    if line.problem is not None:
        raise line.problem
    slug, domain = (str(line.values.get(name, "")) for name in ("slug", "domain"))
    check_address(slug, domain)
    return slug, domain.lower()


def _writable(text: str) -> str:
    """Text that came from a file, without what no answer can carry (half a character)."""
    return text.encode("utf-8", "backslashreplace").decode()

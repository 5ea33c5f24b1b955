"""What a reading route may be asked, as its users see it in the API's description."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query

MAX_LIMIT: Final = 1000

From = Annotated[str, Query(alias="from", description="RFC 3339; default a day before `to`.")]
To = Annotated[str, Query(alias="to", description="RFC 3339; default now, or `as_of`.")]
AsOf = Annotated[str, Query(description="Answer with what was known at this moment; the answer never changes.")]
Grain = Annotated[str, Query(description="1m, 15m, 1h or 1d; empty = the whole period.")]
Campaign = Annotated[str, Query(description="Qualified ID: platform:account:id.")]
Client = Annotated[str, Query(description="Tenant.")]
Cursor = Annotated[str, Query(description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]

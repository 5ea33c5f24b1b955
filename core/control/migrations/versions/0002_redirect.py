"""What the full redirect service keeps: change numbers of links, how often a link was used, what the destination watch remembers."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _link_changes()
    _link_usage()
    _link_lists()
    _watched_destinations()


def downgrade() -> None:
    op.drop_table("watched_destinations")
    op.drop_table("link_tags")
    op.drop_table("link_index")
    op.drop_table("link_usage")
    with op.batch_alter_table("links") as links:
        links.drop_index("links_change")
        links.drop_column("change")
        links.drop_column("compiled")


def _link_lists() -> None:
    """What lists and searches read, filled from the links there are."""
    index = op.create_table(
        "link_index",
        sa.Column("slug", sa.String(length=255), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("link_id", sa.String(length=32), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("slug", "domain"),
        sqlite_with_rowid=False,
    )
    op.create_index("link_index_client", "link_index", ["client", "slug", "domain"], unique=False)
    tags = op.create_table(
        "link_tags",
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=255), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("link_id", sa.String(length=32), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tag", "slug", "domain"),
        sqlite_with_rowid=False,
    )
    found = op.get_bind().execute(sa.text("SELECT link_id, slug, domain, client, definition FROM links"))
    for row in found.all():
        definition = json.loads(row.definition) if isinstance(row.definition, str) else row.definition
        own_tags = list(dict.fromkeys(definition.get("tags", ())))
        looked_into = [definition.get(name, "") for name in ("slug", "destination", "campaign", "note")]
        keys = {"slug": row.slug, "domain": row.domain, "link_id": row.link_id, "client": row.client}
        op.execute(index.insert().values(**keys, text="\n".join([*looked_into, *own_tags]).lower()))
        op.bulk_insert(tags, [{**keys, "tag": tag} for tag in own_tags])


def _watched_destinations() -> None:
    op.create_table(
        "watched_destinations",
        sa.Column("url_sha256", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("baseline", sa.JSON(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("url_sha256"),
    )


def _link_changes() -> None:
    """Change numbers in the order in which the links changed; workers prepare them until they are written again."""
    op.add_column("links", sa.Column("compiled", sa.LargeBinary(), nullable=True))
    op.add_column("links", sa.Column("change", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE links SET change = ranked.number FROM "
        "(SELECT link_id, row_number() OVER (ORDER BY updated_at, link_id) AS number FROM links) AS ranked "
        "WHERE ranked.link_id = links.link_id"
    )
    with op.batch_alter_table("links") as links:
        links.alter_column("change", existing_type=sa.BigInteger(), nullable=False)
        links.create_index("links_change", ["change"], unique=True)


def _link_usage() -> None:
    op.create_table(
        "link_usage",
        sa.Column("link_id", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("link_id", "worker"),
    )

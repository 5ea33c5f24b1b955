"""Erasure of people: who asked for what, which nodes did it, and digests of what may not come back."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("identifiers", sa.JSON(), nullable=False),
        sa.Column("journaled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("erasure_id"),
    )
    op.create_table(
        "erasure_nodes",
        sa.Column("erasure_id", sa.String(length=32), nullable=False),
        sa.Column("node", sa.String(length=128), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("erasure_id", "node"),
    )
    op.create_table(
        "tombstones",
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("erasure_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("tombstones_erasure", "tombstones", ["erasure_id"], unique=False)


def downgrade() -> None:
    op.drop_table("tombstones")
    op.drop_table("erasure_nodes")
    op.drop_table("erasures")

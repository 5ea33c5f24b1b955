"""What the collectors keep: deliveries of webhooks that were taken, the lives of conversions that came by postback."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _hook_deliveries()
    _postback_lives()


def downgrade() -> None:
    op.drop_table("postback_lives")
    op.drop_table("hook_deliveries")


def _hook_deliveries() -> None:
    op.create_table(
        "hook_deliveries",
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("delivery_sha256", sa.String(length=64), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "delivery_sha256"),
    )
    op.create_index("hook_deliveries_expires_at", "hook_deliveries", ["expires_at"], unique=False)


def _postback_lives() -> None:
    op.create_table(
        "postback_lives",
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("life", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_sha256"),
    )
    op.create_index("postback_lives_updated_at", "postback_lives", ["updated_at"], unique=False)

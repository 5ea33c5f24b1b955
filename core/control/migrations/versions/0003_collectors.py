"""What the collectors keep (deliveries of webhooks that were taken, the lives of conversions that came by postback), and the uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _hook_deliveries()
    _postback_lives()
    _uploads()


def downgrade() -> None:
    op.drop_table("uploads")
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


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("upload_id", sa.String(length=32), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=255), nullable=False),
        sa.Column("conversion", sa.Text(), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("event_key", sa.String(length=64), nullable=True),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("event_ts", sa.BigInteger(), nullable=False),
        sa.Column("value_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("uncertain_since", sa.BigInteger(), nullable=True),
        sa.Column("next_attempt", sa.BigInteger(), nullable=False),
        sa.Column("batch_limit", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.String(length=32), nullable=False),
        sa.Column("request_id", sa.String(length=255), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("unpublished", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id"),
        sa.UniqueConstraint("event_key"),
    )
    op.create_index("uploads_due", "uploads", ["destination", "state", "next_attempt"], unique=False)
    op.create_index("uploads_request", "uploads", ["request_id"], unique=False)
    op.create_index("uploads_unpublished", "uploads", ["unpublished"], unique=False)

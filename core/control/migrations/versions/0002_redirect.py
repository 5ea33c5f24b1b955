"""What the full redirect service keeps: change numbers of links, how often a link was used, what the destination watch remembers."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass

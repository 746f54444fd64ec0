"""Schema 1: graphs, evaluations, curves, runs and proposals (netloom 0.1)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None


def upgrade() -> None:
    """Make the tables in an empty database."""
    op.create_table("netloom_store", sa.Column("schema_version", sa.Integer, nullable=False))
    op.create_table(
        "graphs",
        sa.Column("hash", sa.String(80), primary_key=True),
        sa.Column("json", sa.Text, nullable=False),
        sa.Column("num_params", sa.BigInteger, nullable=False),
        sa.Column("flops", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("graph_hash", sa.String(80), sa.ForeignKey("graphs.hash"), nullable=False, index=True),
        sa.Column("task_hash", sa.String(64), nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("init", sa.String(80), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("fidelity", sa.Integer, nullable=False),
        sa.Column("evaluator", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        sa.UniqueConstraint(
            "graph_hash", "task_hash", "recipe_hash", "init", "seed", "fidelity", "evaluator", name="one_result_for_one_key"
        ),
    )
    op.create_table(
        "curves",
        sa.Column("evaluation_id", sa.Integer, sa.ForeignKey("evaluations.id"), primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("train_loss", sa.Float, nullable=False),
        sa.Column("valid_loss", sa.Float, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("environment", sa.JSON, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("ask", sa.Integer, nullable=False),
        sa.Column("evaluation_id", sa.Integer, sa.ForeignKey("evaluations.id"), nullable=False),
        sa.Column("reused", sa.Boolean, nullable=False),
        sa.Column("elapsed", sa.Float, nullable=False),
        sa.UniqueConstraint("run_id", "ask", name="one_proposal_for_one_ask"),
    )
    op.execute("INSERT INTO netloom_store (schema_version) VALUES (1)")

"""The tables of a store, in the newest schema. How older ones become this is in ``migrations/versions``.

Hashes are long and repeat, so evaluations point at graphs, tasks and recipes by number. Nothing here is code: graphs,
recipes, settings and edits are JSON, weights are safetensors files of which the store keeps the hash.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

#: Written into every store. One more with every file in ``migrations/versions``.
SCHEMA_VERSION = 2

metadata = sa.MetaData()


def _number(name: str = "id", *, primary_key: bool = True) -> sa.Column[int]:
    """A row's own number: 64 bits everywhere, and SQLite's row id."""
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=primary_key)


def _points_at(target: str, name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.ForeignKey(target), nullable=False, **options)


#: One row. ``artifacts`` is where weights are kept: a folder or URL, null for the folder beside an SQLite file.
about = sa.Table(
    "netloom_store",
    metadata,
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("written_by", sa.String),
    sa.Column("artifacts", sa.Text),
)

graphs = sa.Table(
    "graphs",
    metadata,
    _number(),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("json", sa.Text, nullable=False),
    sa.Column("text", sa.Text),
    sa.Column("num_params", sa.BigInteger, nullable=False),
    sa.Column("flops", sa.BigInteger, nullable=False),
)

#: ``name`` and ``spec`` are for people and for loading it again; the hash is the task.
tasks = sa.Table(
    "tasks",
    metadata,
    _number(),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
)

recipes = sa.Table(
    "recipes",
    metadata,
    _number(),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("fields", sa.JSON(none_as_null=True)),
)

#: One row for each thing that was measured: the columns of ``one_result_for_one_key`` say what, and occur together once.
#: ``claim_token`` is that of the claim under which the result was committed, null where there was none. ``num_params`` is that
#: of the graph, once more for the indices.
evaluations = sa.Table(
    "evaluations",
    metadata,
    _number(),
    _points_at("graphs.id", "graph_id"),
    _points_at("tasks.id", "task_id"),
    _points_at("recipes.id", "recipe_id"),
    sa.Column("init", sa.String, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("fidelity", sa.BigInteger, nullable=False),
    sa.Column("evaluator", sa.Integer, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("score", sa.Double),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("metrics", sa.JSON(none_as_null=True)),
    sa.Column("claim_token", sa.BigInteger),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("num_params", sa.BigInteger, nullable=False),
    sa.UniqueConstraint(
        "graph_id", "task_id", "recipe_id", "init", "seed", "fidelity", "evaluator", name="one_result_for_one_key"
    ),
    # `best` of everything and of one task read these from their beginning, however many have the same score.
    sa.Index("evaluations_by_score", sa.desc("score"), "num_params"),
    sa.Index("evaluations_by_task_and_score", "task_id", sa.desc("score"), "num_params"),
    sqlite_autoincrement=True,
)

#: ``more`` is whatever else a training noted of an epoch.
curves = sa.Table(
    "curves",
    metadata,
    _points_at("evaluations.id", "evaluation_id", primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("train_loss", sa.Double),
    sa.Column("train_score", sa.Double),
    sa.Column("valid_loss", sa.Double),
    sa.Column("score", sa.Double),
    sa.Column("seconds", sa.Double),
    sa.Column("more", sa.JSON(none_as_null=True)),
    sqlite_with_rowid=False,
)

#: A strategy's work: ``settings`` is all that decides what it does, ``environment`` versions and machine.
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("strategy", sa.String, nullable=False),
    sa.Column("seed", sa.BigInteger),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("environment", sa.JSON, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("updated", sa.String, nullable=False),
)

#: What each run asked for: ``ask`` numbers the candidates of a run, ``elapsed`` is the run's clock when the result came,
#: ``reused`` says that the result was in the store already. ``id`` keeps the order in which results were told. The rest is
#: lineage: the edit that made the candidate, and which part proposed, scored and initialised it.
proposals = sa.Table(
    "proposals",
    metadata,
    _number(),
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("ask", sa.BigInteger, nullable=False),
    _points_at("evaluations.id", "evaluation_id", index=True),
    sa.Column("reused", sa.Boolean, nullable=False),
    sa.Column("elapsed", sa.Double, nullable=False),
    sa.Column("edit", sa.JSON(none_as_null=True)),
    sa.Column("proposed_by", sa.String, nullable=False),
    sa.Column("scored_by", sa.String, nullable=False),
    sa.Column("predicted_score", sa.Double),
    sa.Column("initialised_by", sa.String, nullable=False),
    sa.UniqueConstraint("run_id", "ask", name="one_proposal_for_one_ask"),
)

#: The parents of a proposal, in order.
parents = sa.Table(
    "parents",
    metadata,
    _points_at("proposals.id", "proposal_id", primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    _points_at("graphs.id", "graph_id"),
    sqlite_with_rowid=False,
)

#: Files, by the SHA-256 of their contents.
artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("num_bytes", sa.BigInteger, nullable=False),
    sa.Column("created", sa.String, nullable=False),
)

#: What belongs to an evaluation: ``role`` is ``weights``, ``checkpoint``, or another word.
evaluation_artifacts = sa.Table(
    "evaluation_artifacts",
    metadata,
    _points_at("evaluations.id", "evaluation_id", primary_key=True),
    sa.Column("role", sa.String, primary_key=True),
    sa.Column("artifact_hash", sa.String, sa.ForeignKey("artifacts.hash"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

#: Who is working on which key. Tokens only ever rise and are never used twice, so that a holder whose claim was taken over
#: can be told from the present one. ``heartbeat`` is in seconds of `netloom.store.clock.seconds_now`.
claims = sa.Table(
    "claims",
    metadata,
    _number("token"),
    sa.Column("graph_hash", sa.String, nullable=False),
    sa.Column("task_hash", sa.String, nullable=False),
    sa.Column("recipe_hash", sa.String, nullable=False),
    sa.Column("init", sa.String, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("fidelity", sa.BigInteger, nullable=False),
    sa.Column("evaluator", sa.Integer, nullable=False),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("nonce", sa.String, nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("grace_seconds", sa.Double, nullable=False),
    sa.UniqueConstraint(
        "graph_hash", "task_hash", "recipe_hash", "init", "seed", "fidelity", "evaluator", name="one_claim_for_one_key"
    ),
    sqlite_autoincrement=True,
)

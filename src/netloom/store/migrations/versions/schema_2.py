"""Schema 2: tasks and recipes by number, texts of graphs, lineage, artifacts, claims.

What is copied keeps its ids. Names of tasks and recipes come from the settings of the runs that used them.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "2", "1"

_KEPT = ("proposals", "curves", "evaluations", "graphs", "runs")
_KEY = ("init", "seed", "fidelity", "evaluator")


def upgrade() -> None:
    """Put the old tables aside, make the new ones, fill them, drop the old."""
    _refuse_dangling()
    for name in _KEPT:
        op.execute(f"CREATE TABLE schema_1_{name} AS SELECT * FROM {name}")
        op.drop_table(name)
    op.add_column("netloom_store", sa.Column("written_by", sa.String))
    op.add_column("netloom_store", sa.Column("artifacts", sa.Text))
    _make_subjects()
    _make_evaluations()
    _make_runs()
    _make_artifacts_and_claims()
    _copy()
    _name_tasks_and_recipes()
    _write_texts()
    for name in _KEPT:
        op.drop_table(f"schema_1_{name}")
    if op.get_bind().dialect.name == "postgresql":
        # Rows were copied with their ids, which the sequences have not counted.
        for name in ("evaluations", "proposals"):
            op.execute(f"SELECT setval('{name}_id_seq', (SELECT coalesce(max(id), 0) + 1 FROM {name}), false)")


def _refuse_dangling() -> None:
    """Rows that point at nothing would be left behind: then nothing is changed at all."""
    from netloom.errors import StoreError

    for table, column, target, key in (
        ("evaluations", "graph_hash", "graphs", "hash"),
        ("curves", "evaluation_id", "evaluations", "id"),
        ("proposals", "evaluation_id", "evaluations", "id"),
        ("proposals", "run_id", "runs", "id"),
    ):
        dangling = f"SELECT count(*) FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {target})"
        count = op.get_bind().execute(sa.text(dangling)).scalar_one()
        if count:
            raise StoreError(
                f"it has schema 1, and {count} of its rows of {table} point at {target} that are not there; restore it from a "
                "copy, or delete those rows"
            )


def _number(name: str = "id") -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


def _points_at(target: str, name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.ForeignKey(target), nullable=False, **options)


def _column(name: str, type: Any, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, type, nullable=nullable)


def _make_subjects() -> None:
    op.create_table(
        "graphs",
        _number(),
        sa.Column("hash", sa.String, nullable=False, unique=True),
        _column("json", sa.Text),
        _column("text", sa.Text, nullable=True),
        _column("num_params", sa.BigInteger),
        _column("flops", sa.BigInteger),
    )
    op.create_table(
        "tasks",
        _number(),
        sa.Column("hash", sa.String, nullable=False, unique=True),
        _column("name", sa.Text),
        _column("spec", sa.Text),
        _column("kind", sa.String),
    )
    op.create_table(
        "recipes",
        _number(),
        sa.Column("hash", sa.String, nullable=False, unique=True),
        _column("name", sa.Text),
        _column("fields", sa.JSON, nullable=True),
    )


def _make_evaluations() -> None:
    op.create_table(
        "evaluations",
        _number(),
        _points_at("graphs.id", "graph_id"),
        _points_at("tasks.id", "task_id"),
        _points_at("recipes.id", "recipe_id"),
        _column("init", sa.String),
        _column("seed", sa.BigInteger),
        _column("fidelity", sa.BigInteger),
        _column("evaluator", sa.Integer),
        _column("status", sa.String),
        _column("score", sa.Double, nullable=True),
        _column("seconds", sa.Double),
        _column("error", sa.Text),
        _column("metrics", sa.JSON, nullable=True),
        _column("claim_token", sa.BigInteger, nullable=True),
        _column("created", sa.String),
        _column("num_params", sa.BigInteger),
        sa.UniqueConstraint("graph_id", "task_id", "recipe_id", *_KEY, name="one_result_for_one_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("evaluations_by_score", "evaluations", [sa.desc("score"), "num_params"])
    op.create_index("evaluations_by_task_and_score", "evaluations", ["task_id", sa.desc("score"), "num_params"])
    op.create_table(
        "curves",
        _points_at("evaluations.id", "evaluation_id", primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        *(_column(name, sa.Double, nullable=True) for name in ("train_loss", "train_score", "valid_loss", "score", "seconds")),
        _column("more", sa.JSON, nullable=True),
        sqlite_with_rowid=False,
    )


def _make_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String, primary_key=True),
        _column("strategy", sa.String),
        _column("seed", sa.BigInteger, nullable=True),
        _column("settings", sa.JSON),
        _column("environment", sa.JSON),
        _column("status", sa.String),
        _column("seconds", sa.Double),
        _column("created", sa.String),
        _column("updated", sa.String),
    )
    op.create_table(
        "proposals",
        _number(),
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.id"), nullable=False),
        _column("ask", sa.BigInteger),
        _points_at("evaluations.id", "evaluation_id", index=True),
        _column("reused", sa.Boolean),
        _column("elapsed", sa.Double),
        _column("edit", sa.JSON, nullable=True),
        _column("proposed_by", sa.String),
        _column("scored_by", sa.String),
        _column("predicted_score", sa.Double, nullable=True),
        _column("initialised_by", sa.String),
        sa.UniqueConstraint("run_id", "ask", name="one_proposal_for_one_ask"),
    )
    op.create_table(
        "parents",
        _points_at("proposals.id", "proposal_id", primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        _points_at("graphs.id", "graph_id"),
        sqlite_with_rowid=False,
    )


def _make_artifacts_and_claims() -> None:
    op.create_table(
        "artifacts",
        sa.Column("hash", sa.String, primary_key=True),
        _column("num_bytes", sa.BigInteger),
        _column("created", sa.String),
    )
    op.create_table(
        "evaluation_artifacts",
        _points_at("evaluations.id", "evaluation_id", primary_key=True),
        sa.Column("role", sa.String, primary_key=True),
        sa.Column("artifact_hash", sa.String, sa.ForeignKey("artifacts.hash"), nullable=False, index=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "claims",
        _number("token"),
        _column("graph_hash", sa.String),
        _column("task_hash", sa.String),
        _column("recipe_hash", sa.String),
        _column("init", sa.String),
        _column("seed", sa.BigInteger),
        _column("fidelity", sa.BigInteger),
        _column("evaluator", sa.Integer),
        _column("holder", sa.String),
        _column("nonce", sa.String),
        _column("heartbeat", sa.Double),
        _column("grace_seconds", sa.Double),
        sa.UniqueConstraint("graph_hash", "task_hash", "recipe_hash", *_KEY, name="one_claim_for_one_key"),
        sqlite_autoincrement=True,
    )


def _copy() -> None:
    for statement in (
        "INSERT INTO graphs (hash, json, num_params, flops) "
        "SELECT hash, json, num_params, flops FROM schema_1_graphs ORDER BY hash",
        "INSERT INTO tasks (hash, name, spec, kind) SELECT DISTINCT task_hash, '', '', '' FROM schema_1_evaluations",
        "INSERT INTO recipes (hash, name) SELECT DISTINCT recipe_hash, '' FROM schema_1_evaluations",
        "INSERT INTO evaluations (id, graph_id, task_id, recipe_id, init, seed, fidelity, evaluator, status, score, seconds, "
        "error, created, num_params) "
        "SELECT e.id, g.id, t.id, r.id, e.init, e.seed, e.fidelity, e.evaluator, e.status, e.score, e.seconds, "
        "e.error, e.created, g.num_params FROM schema_1_evaluations e "
        "JOIN graphs g ON g.hash = e.graph_hash JOIN tasks t ON t.hash = e.task_hash "
        "JOIN recipes r ON r.hash = e.recipe_hash ORDER BY e.id",
        "INSERT INTO curves (evaluation_id, epoch, train_loss, valid_loss, score, seconds) "
        "SELECT evaluation_id, epoch, train_loss, valid_loss, score, seconds FROM schema_1_curves",
        "INSERT INTO runs (id, strategy, settings, environment, status, seconds, created, updated) "
        "SELECT id, '', settings, environment, status, seconds, created, created FROM schema_1_runs",
        "INSERT INTO proposals (id, run_id, ask, evaluation_id, reused, elapsed, proposed_by, scored_by, initialised_by) "
        "SELECT id, run_id, ask, evaluation_id, reused, elapsed, '', '', 'random' FROM schema_1_proposals ORDER BY id",
    ):
        op.execute(statement)


def _name_tasks_and_recipes() -> None:
    """What the settings of runs say of their strategy, task and recipe."""
    connection = op.get_bind()
    used = (
        "SELECT DISTINCT e.task_id, e.recipe_id FROM proposals p JOIN evaluations e ON e.id = p.evaluation_id "
        "WHERE p.run_id = :run"
    )
    for run_id, settings in connection.execute(sa.text("SELECT id, settings FROM runs ORDER BY created")).all():
        said = json.loads(settings) if isinstance(settings, str) else settings
        strategy, seed = str(said.get("strategy", "")), said.get("seed")
        seed = seed if isinstance(seed, int) and abs(seed) < 2**63 else None
        values = {"run": run_id, "strategy": strategy, "seed": seed}
        connection.execute(sa.text("UPDATE runs SET strategy = :strategy, seed = :seed WHERE id = :run"), values)
        task = {"name": str(said.get("task_name", "")), "spec": str(said.get("task", ""))}
        recipe = {
            "name": str(said.get("recipe_name", "")),
            "fields": json.dumps(said["recipe"]) if said.get("recipe") else None,
        }
        for task_id, recipe_id in connection.execute(sa.text(used), {"run": run_id}).all():
            connection.execute(
                sa.text("UPDATE tasks SET name = :name, spec = :spec, kind = 'classification' WHERE id = :id"),
                {"id": task_id, **task},
            )
            connection.execute(
                sa.text("UPDATE recipes SET name = :name, fields = :fields WHERE id = :id"), {"id": recipe_id, **recipe}
            )
    op.execute("UPDATE proposals SET proposed_by = (SELECT strategy FROM runs WHERE runs.id = proposals.run_id)")


def _write_texts() -> None:
    """The readable form of every graph; one that cannot be read stays without, and `Store.check` says why."""
    from netloom.errors import NetloomError
    from netloom.graph.graph import Graph

    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id FROM graphs")).scalars().all()
    for id in rows:
        document = connection.execute(sa.text("SELECT json FROM graphs WHERE id = :id"), {"id": id}).scalar_one()
        try:
            text = Graph.from_json(document).to_text()
        except NetloomError:
            continue
        connection.execute(sa.text("UPDATE graphs SET text = :text WHERE id = :id"), {"id": id, "text": text})

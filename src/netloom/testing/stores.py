"""The suite that holds a store to the promises in the docstring of `netloom.Store`: `check_store`, and each of its parts.

A part gets the URL of an empty database and raises AssertionError that says what the store did and what was expected.
Parts that need other processes are in `netloom.testing.store_processes`.
"""

from __future__ import annotations

import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import netloom as nl
from netloom.errors import ClaimLostError, StoreError
from netloom.store import INEXACT, EvaluationKey, EvaluationRecord, Lineage, Store

from .store_processes import check_kills, check_workers, graph, is_whole, key, result


def check_store(new_url: Callable[[], str], *, processes: int = 3, keys: int = 24, kills: int = 1) -> None:
    """Every check. ``new_url`` gives the URL of an empty database each time it is called.

    >>> import tempfile, itertools
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     numbers = itertools.count()
    ...     check_store(lambda: f"sqlite:///{folder}/{next(numbers)}.db", processes=2, keys=4)
    """
    for part in (
        check_round_trip, check_one_result, check_one_result_among_threads, check_batches, check_claims, check_fencing,
        check_transactions, check_runs, check_lineage, check_queries, check_artifacts, check_cleaning,
    ):  # fmt: skip
        part(new_url())
    check_exchange(new_url(), new_url(), new_url())
    check_workers(new_url(), processes, keys)
    check_kills(new_url(), kills)


# -- promise 1: nothing acknowledged is lost ---------------------------------------------------------------------------
def check_round_trip(url: str) -> None:
    """What was recorded is found, with all it had, by whoever opens the store next; also by its pickled form."""
    from netloom.training import Epoch

    curve = (Epoch(1, 0.9, 0.8, 0.4, 1.0), Epoch(2, 0.7, 0.6, 0.5, 2.0))
    told = EvaluationRecord("ok", 0.5, 2.5, "a remark “with” signs", curve, metrics={"top5": 0.75})
    failed = EvaluationRecord("failed", None, 0.0, "RuntimeError: boom\0 \n line")
    longer = EvaluationKey(graph(3).hash, "task", "recipe", seed=2**62, fidelity=2, init="weights", evaluator=9)
    with Store(url) as store:
        first, second = store.record(graph(3), longer, told), store.record(graph(3), key(3), failed)
        copy = pickle.loads(pickle.dumps(store))
    with copy, Store(url, must_exist=True) as store:
        for opened in (store, copy):
            found = opened.find(longer)
            assert found == first, f"{found} is found where {first} was recorded"
        assert (first.score, first.curve, dict(first.metrics), first.error) == (0.5, curve, {"top5": 0.75}, told.error)
        again = store.find(key(3))
        assert again == second and again.score is None and "boom" in again.error, f"{again} is found of a failure"
        assert store.graph(graph(3).hash) == graph(3), "the graph is another one"
        for part in ("task_hash", "recipe_hash", "init"):
            other = EvaluationKey(**{**_parts(longer), part: "another"})
            assert store.find(other) is None, f"a key with another {part} finds a result"
        is_whole(store)


def _parts(of: EvaluationKey) -> dict[str, Any]:
    return {name: getattr(of, name) for name in EvaluationKey.__slots__}


# -- promise 2: one result for one key ---------------------------------------------------------------------------------
def check_one_result(url: str) -> None:
    """A result stays, but one that depends on the machine makes room for a later one."""
    with Store(url) as store:
        for i, status in enumerate(INEXACT):
            held = store.record(graph(i), key(i), EvaluationRecord(status, None, 9.0, "stopped"))
            assert held.status == status, f"{held} where a first result was recorded"
            assert store.missing([key(i)]) == [] and store.missing([key(i)], retry=True) == [key(i)]
            for other in (result(i), EvaluationRecord("ok", 0.999, 1.0), EvaluationRecord("failed", None, 1.0, "boom")):
                held = store.record(graph(i), key(i), other)
                assert (held.status, held.score) == ("ok", result(i).score), f"{held}: the first whole result did not stay"
        count = store.counts()["evaluations"]
        assert count == len(INEXACT), f"{count} evaluations of {len(INEXACT)} keys"
        is_whole(store)


def check_one_result_among_threads(url: str, threads: int = 6) -> None:
    """Many record other results for one key at once: one is committed, and all are told that one."""
    held: list[Any] = []
    with Store(url) as store:
        start = threading.Barrier(threads)

        def work(i: int) -> None:
            start.wait()
            try:
                held.append(store.record(graph(0), key(0), EvaluationRecord("ok", i / threads, 1.0)).score)
            except StoreError as error:
                held.append(error)

        _together([threading.Thread(target=work, args=(i,)) for i in range(threads)])
        assert len(held) == threads and len(set(held)) == 1, f"who recorded for one key was told {held}"
        found = store.find(key(0))
        assert found is not None and found.score == held[0], f"{found} is found, {held[0]} was told"
        assert store.counts()["evaluations"] == 1


def check_batches(url: str, count: int = 40) -> None:
    """`record_many` keeps to the same rules, within a batch and against what is there."""
    with Store(url) as store:
        ids = store.record_many((graph(i), key(i), result(i)) for i in range(count))
        assert len(set(ids)) == count, f"{len(set(ids))} ids of {count} results"
        other = [(graph(i).hash, key(i), EvaluationRecord("ok", 0.123, 1.0)) for i in (5, 5, count, count)]
        again = store.record_many(other)
        assert again[0] == again[1] == ids[5] and again[2] == again[3] not in ids, f"ids {again} of keys that repeat"
        found = [store.find(key(i)) for i in (5, count)]
        assert [f.score if f else None for f in found] == [result(5).score, 0.123], f"{found} after a batch that repeats keys"
        assert store.counts()["evaluations"] == count + 1
        is_whole(store)


# -- promise 3: claims are fenced --------------------------------------------------------------------------------------
def check_claims(url: str, grace_seconds: float = 0.4) -> None:
    """Of all who claim a key one gets it; while it lives nobody else does; when it is silent for too long the next one may."""
    with Store(url) as store, Store(url) as another:
        claim = store.claim(key(0), grace_seconds=grace_seconds)
        assert claim is not None, "a free key was not given"
        with store.holding(claim):
            end = time.monotonic() + 3 * grace_seconds
            while time.monotonic() < end:
                assert another.claim(key(0)) is None, "a key was given to a second one while the first was beating"
                time.sleep(grace_seconds / 10)
        assert another.claim(key(1)) is not None, "a free key was not given because another one is held"
        time.sleep(grace_seconds * 1.5)
        later = another.claim(key(0))
        assert later is not None and later.token > claim.token, f"{later} after the holder of {claim} was silent for too long"
        another.release(later)
        last = store.claim(key(0))
        assert last is not None and last.token > later.token, f"{last}: tokens must rise, also after {later} was given back"
        store.record(graph(0), key(0), result(0), claim=last)
        assert store.claim(key(0)) is None, "a key was given that has a result"
        store.record(graph(2), key(2), EvaluationRecord("killed", None, 1.0, "killed"))
        assert store.claim(key(2), retry=False) is None, "retry=False gave a key that has a result"
        assert store.claim(key(2)) is not None, "a key whose result depends on the machine was not given again"


def check_fencing(url: str) -> None:
    """Who lost a claim cannot commit under it, even where the key has no other result."""
    with Store(url) as store:
        lost = store.claim(key(0), grace_seconds=0.05)
        time.sleep(0.2)
        present = store.claim(key(0), grace_seconds=30)
        assert lost is not None and present is not None, f"claims {lost}, {present}"
        for what in (lambda: store.record(graph(0), key(0), result(1), claim=lost), lambda: store.heartbeat(lost)):
            try:
                what()
            except ClaimLostError:
                continue
            raise AssertionError("a claim that was taken over is still good for something")
        assert store.find(key(0)) is None, "a result under a lost claim was stored"
        store.release(lost)
        held = store.record(graph(0), key(0), result(0), claim=present)
        assert held.score == result(0).score, f"{held} under the present claim"
        assert store.counts()["claims"] == 0, "a claim outlives its result"


# -- promise 4: writes are transactions --------------------------------------------------------------------------------
def check_transactions(url: str) -> None:
    """A call that fails in its middle leaves nothing behind."""
    with Store(url) as store:
        before = store.counts()
        unknown = EvaluationRecord("ok", 0.5, 1.0, artifacts={"weights": "f" * 64})
        attempts: Sequence[Callable[[], Any]] = (
            lambda: store.record_many([(graph(0), key(0), result(0)), (graph(1), key(1), unknown)]),
            lambda: store.record_many([(graph(0), key(0), result(0)), (graph(1).hash, key(1), result(1))]),
            lambda: store.record(graph(0), key(1), result(0)),
            lambda: store.record(graph(0), key(0), EvaluationRecord("ok", float("nan"), 1.0)),
            lambda: store.add_proposal("no such run", 0, 1, reused=False, elapsed=0.0),
        )
        for i, attempt in enumerate(attempts):
            try:
                attempt()
            except StoreError:
                assert store.counts() == before, f"attempt {i} failed, and left {store.counts()} where there was {before}"
                continue
            raise AssertionError(f"attempt {i} was not refused")
        is_whole(store)


# -- promise 5: runs ---------------------------------------------------------------------------------------------------
def check_runs(url: str) -> None:
    """Runs keep the order told; deleting one deletes no evaluation that another shares."""
    with Store(url) as store:
        ids = store.record_many((graph(i), key(i), result(i)) for i in range(4))
        for run, told in (("first", (1, 0)), ("second", (1, 2))):
            store.add_run(run, {"seed": 3, "strategy": "random"}, {"torch": "2"})
            for ask, i in enumerate(told):
                store.add_proposal(run, ask, ids[i], reused=run == "second" and i == 1, elapsed=ask)
            store.update_run(run, status="finished", seconds=2.5)
        frame = store.evaluations("first")
        assert list(frame["id"]) == [ids[1], ids[0]] and list(frame["ask"]) == [0, 1], f"the order told is lost: {frame}"
        record = store.run("first")
        assert (record["settings"]["seed"], record["status"], record["seconds"]) == (3, "finished", 2.5), f"run {record}"
        _refused(lambda: store.add_run("first", {}, {}), "a second run with one id")
        _refused(lambda: store.add_proposal("first", 0, ids[3], reused=False, elapsed=0.0), "a second result of one ask")
        deleted = store.delete_run("first", keep_evaluations=False)
        left = set(store.evaluations()["id"])
        assert (deleted, left) == (1, {ids[1], ids[2], ids[3]}), f"{deleted} were deleted with a run, {left} of {ids} are left"
        assert list(store.evaluations("second")["id"]) == [ids[1], ids[2]], "another run lost its evaluations"
        assert store.delete_run("second") == 0 and set(store.evaluations()["id"]) == left, "evaluations are kept by default"
        assert store.run_ids() == ()
        is_whole(store)


def check_lineage(url: str) -> None:
    """Where a candidate came from is kept, back to the first ancestor, also where parents and children go in a circle."""
    with Store(url) as store:
        store.add_run("run", {}, {})
        parent = store.add_graph(graph(0))
        made = {"mutation": "resize", "node": "linear", "by": 4}
        came = Lineage((parent, graph(1).hash), made, "evolution", "trees", 0.75, "inherited")
        chain = {1: Lineage((parent,), {"mutation": "insert"}, "evolution"), 2: came, 0: Lineage((graph(2).hash,))}
        for ask, (number, lineage) in enumerate(chain.items()):
            stored = store.record(graph(number), key(number), result(number))
            store.add_proposal("run", ask, stored.id, reused=False, elapsed=1.0, lineage=lineage)
        frame = store.lineage(graph(2))
        first = frame.iloc[0]
        assert (first["edit"], first["parents"]) == (made, [parent, graph(1).hash]), f"lineage {first.to_dict()}"
        parts = (first["proposed_by"], first["scored_by"], first["predicted_score"], first["initialised_by"])
        assert parts == ("evolution", "trees", 0.75, "inherited"), f"parts {parts}"
        generations = sorted(zip(frame["generation"], frame["graph_hash"]))
        expected = sorted([(0, graph(2).hash), (1, graph(1).hash), (1, graph(0).hash)])
        assert generations == expected, f"ancestors {generations}, expected {expected}"
        is_whole(store)


# -- asking ------------------------------------------------------------------------------------------------------------
def check_queries(url: str, count: int = 60) -> None:
    """Filters, order and limit give what the same would of all evaluations in memory."""
    statuses = ("ok", "ok", "ok", "failed")
    with Store(url) as store:
        store.record_many(
            (graph(i), EvaluationKey(graph(i).hash, f"task-{i % 3}", "recipe", i, i % 2 + 1),
             EvaluationRecord(statuses[i % 4], i % 10 / 10 if i % 4 < 3 else None, float(i)))
            for i in range(count)
        )  # fmt: skip
        whole = store.evaluations()
        asked = store.evaluations(task="task-1", status="ok", min_score=0.3, max_params=20, order="-score", limit=5)
        kept = whole[(whole.task_hash == "task-1") & (whole.status == "ok") & (whole.score >= 0.3) & (whole.num_params <= 20)]
        kept = kept.sort_values(["score", "id"], ascending=[False, True]).head(5)
        assert list(asked["id"]) == list(kept["id"]), f"filtered {list(asked['id'])}, expected {list(kept['id'])}"
        scored = whole[whole.score.notna() & (whole.task_hash == "task-2")]
        ranked = scored.sort_values(["score", "num_params", "id"], ascending=[False, True, True])
        for distinct, expected in ((False, ranked), (True, ranked.drop_duplicates("graph_hash"))):
            best = store.best(7, task="task-2", distinct=distinct)
            assert list(best["id"]) == list(expected["id"].head(7)), f"best {list(best['id'])}, expected {expected.head(7)}"
        networks = whole[whole.score.notna()].graph_hash.nunique()
        assert len(store.best(10_000)) == networks and store.best(0).empty and store.evaluations(task="unknown").empty
        for ask in (lambda: store.evaluations(order="scroe"), lambda: store.evaluations(stats="ok"), lambda: store.best(-1)):
            _refused(ask, "a question that makes no sense")


# -- weights, exchange, cleaning ---------------------------------------------------------------------------------------
def check_artifacts(url: str) -> None:
    """Weights come back bit for bit, and missing or damaged ones are told."""
    import torch

    with tempfile.TemporaryDirectory() as folder, Store(url, artifacts=folder) as store:
        network = nl.build(graph(7), seed=1)
        hash = store.save_weights(network)
        assert store.save_weights(network) == hash, "the same weights have another hash the second time"
        stored = store.record(graph(7), key(7), EvaluationRecord("ok", 0.5, 1.0, artifacts={"weights": hash}))
        again = store.network(stored.id)
        same = all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values()))
        assert same and stored.artifacts == {"weights": hash}, "the weights are others"
        is_whole(store)
        (file,) = [path for path in _files(folder) if path.stem == hash]
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        _refused(lambda: store.load_weights(hash), "damaged weights")
        assert any("damaged" in problem for problem in store.check()), f"check says {store.check()} of damaged weights"
        file.unlink()
        _refused(lambda: store.load_weights(hash), "missing weights")
        assert any("missing" in problem for problem in store.check()), f"check says {store.check()} of missing weights"


def _files(folder: str) -> list[Any]:
    from pathlib import Path

    return [path for path in Path(folder).rglob("*") if path.is_file()]


def check_exchange(url: str, by_files: str, by_merging: str) -> None:
    """Everything goes into another store by Parquet files and by merging, once, whatever is there already."""
    with tempfile.TemporaryDirectory() as folder, Store(url, artifacts=f"{folder}/a") as store:
        hash = store.save_weights(nl.build(graph(1), seed=0))
        ids = store.record_many((graph(i), key(i), result(i)) for i in range(20))
        weighted = EvaluationKey(graph(1).hash, "other task", "recipe", 0, 1, init=hash)
        ids.append(store.record(graph(1), weighted, EvaluationRecord("ok", 0.25, 1.0, artifacts={"weights": hash})).id)
        store.add_run("run", {"seed": 1}, {"torch": "2"})
        lineage = Lineage((graph(1).hash,), {"mutation": "resize"}, "evolution")
        store.add_proposal("run", 0, ids[2], reused=False, elapsed=1.0, lineage=lineage)
        store.export_parquet(f"{folder}/export", artifacts=True)
        for other, take in (
            (by_files, lambda target: target.import_parquet(f"{folder}/export")),
            (by_merging, lambda target: target.merge(store)),
        ):
            with Store(other, artifacts=f"{folder}/{other.rpartition('/')[2]}") as target:
                target.record(graph(3), key(3), EvaluationRecord("ok", 0.99, 1.0))
                target.record(graph(4), key(4), EvaluationRecord("killed", None, 1.0))
                received, second = take(target), take(target)
                assert (received.new["evaluations"], received.different) == (20, 1), f"{received}"
                assert not any(second.new.values()), f"the second time: {second.new}"
                _same(store, target, except_for=3)
                assert target.load_weights(hash).keys() == store.load_weights(hash).keys()
                is_whole(target)


def _same(store: Store, target: Store, except_for: int) -> None:
    for frame, name in ((store.evaluations(), "evaluations"), (store.lineage(graph(2)), "lineage"), (store.runs(), "runs")):
        other = {"evaluations": target.evaluations, "lineage": lambda: target.lineage(graph(2)), "runs": target.runs}[name]()
        if name == "evaluations":
            order = ["graph_hash", "task_hash", "seed"]
            frame, other = (f[f.seed != except_for].drop(columns="id").sort_values(order) for f in (frame, other))
        ours, theirs = (f.astype(object).where(f.notna(), None).values.tolist() for f in (frame, other))
        assert ours == theirs, f"{name} differ: {frame}, {other}"


def check_cleaning(url: str) -> None:
    """A vacuum removes dead claims and, if asked to, what nothing needs; it never removes a result."""
    with Store(url) as store:
        stored = store.record(graph(0), key(0), result(0))
        store.add_graph(graph(5))
        store.claim(key(1), grace_seconds=0.01)
        living = store.claim(key(2), grace_seconds=600)
        time.sleep(0.1)
        cleaned = store.vacuum()
        assert (cleaned.claims, cleaned.rows) == (1, 0), f"{cleaned}"
        assert store.vacuum(unused=True).rows == 1, "a graph that nothing needs stayed"
        assert living is not None and store.claim(key(2)) is None, "a living claim was removed"
        assert store.find(key(0)) == stored
        is_whole(store)


def _refused(call: Callable[[], Any], what: str) -> None:
    try:
        got = call()
    except StoreError:
        return
    raise AssertionError(f"{what} was not refused, but gave {got!r}")


def _together(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread waits for ever"

"""The Ray executor on a real cluster of two nodes on this machine, one of which dies in the middle."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import netloom as nl
from netloom.searching import resume

ray = pytest.importorskip("ray", reason="Ray is not installed; it comes with: pip install 'netloom[ray]'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, about sockets and futures
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_a_search_survives_the_death_of_a_node(cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    task = nl.tasks.load("digits")
    store = f"sqlite:///{tmp_path}/runs.db"
    alive = len([n for n in ray.nodes() if n["Alive"]])
    assert alive == 2

    def kill() -> None:
        time.sleep(4)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    result = nl.search(
        "conv?max_macs=20000", task, budget=8, recipe={"epochs": 12}, executor="ray", store=store, progress=False
    )
    thread.join()
    frame = result.evaluations
    assert result.status == "finished" and len(frame) == 8 and (frame["status"] == "ok").all()
    assert result.store.check() == []
    alone = nl.search("conv?max_macs=20000", task, budget=2, recipe={"epochs": 12}, progress=False).evaluations
    found = dict(zip(frame["graph_hash"], frame["score"]))
    assert [found[row.graph_hash] for row in alone.itertuples()] == list(alone["score"])
    again = resume(result.run_id, store, budget=9, progress=False)
    assert len(again.evaluations) == 9

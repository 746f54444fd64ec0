"""The official files of DeepNets-1M: read from files written in their format."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import netloom as nl
from netloom.errors import FormatError

h5py = pytest.importorskip("h5py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two splits as the authors' generator writes them: the first with channels, the second without."""
    meta = {}
    with h5py.File(tmp_path / "deepnets1m_eval.hdf5", "w") as file:
        file.attrs["title"] = "DeepNets-1M"
        for split, channels in (("val", 48), ("wide", None)):
            kinds, modules, nets = {}, {}, []
            for i in range(2):
                a = nl.spaces.DeepNets1M("val").architecture(i)
                view = nl.ghn.hyper_graph(nl.spaces.DeepNets1M("val")[i])
                nodes = [
                    [kinds.setdefault(node.type, len(kinds)), 0, modules.setdefault(node.name, len(modules))]
                    for node in view.nodes
                ]
                group = file.create_group(f"{split}/{i}")
                group.create_dataset("adj", data=np.asarray(view.distances, dtype=np.uint8))
                group.create_dataset("nodes", data=np.array(nodes, dtype=np.uint16))
                net = {key: value for key, value in a.to_dict().items() if key not in ("C", "num_classes", "input_shape")}
                net |= {"num_nodes": len(nodes), "num_params": {"cifar10": 1, "imagenet": 2}}
                nets.append(net if channels is None else net | {"C": channels})
            named = {"primitives_ext": {i: name for name, i in kinds.items()}}
            named["unique_op_names"] = {i: name for name, i in modules.items()}
            meta[split] = {"nets": nets, "meta": named}
    (tmp_path / "deepnets1m_eval_meta.json").write_text(json.dumps(meta))
    return tmp_path


def test_reads_networks_and_graphs(folder: Path) -> None:
    split = nl.spaces.read_published(folder / "deepnets1m_eval.hdf5", "val")
    own = nl.spaces.DeepNets1M("val")
    assert len(split) == 2 and split.architecture(1) == own.architecture(1).resized(C=48)
    assert split[0].hash == nl.spaces.DeepNets1M.described(own.architecture(0).resized(C=48).to_json()).hash
    assert [graph.hash for graph in split] == [graph.hash for graph in split[:2]]
    view, stored = nl.ghn.hyper_graph(split[1]), split.published_graph(1)
    assert list(stored.primitives) == [node.type for node in view.nodes]
    assert sorted(stored.edges) == sorted(view.edges) and stored.names[-1].startswith("classifier")
    assert np.array_equal(stored.distances, view.distances)


def test_networks_without_channels_get_those_that_are_given(folder: Path) -> None:
    split = nl.spaces.read_published(folder / "deepnets1m_eval.hdf5", "wide", channels=16)
    assert split.architecture(0).C == 64
    large = nl.spaces.read_published(folder / "deepnets1m_eval.hdf5", "wide", channels=16, input_shape=(3, 224, 224))
    assert large.architecture(0).C == 32


def test_files_that_are_no_such_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "deepnets1m_eval.hdf5"
    with pytest.raises(FormatError, match="no split 'deep'; it has val, wide"):
        nl.spaces.read_published(path, "deep")
    with pytest.raises(FormatError, match="cannot read .*_meta.json"):
        nl.spaces.read_published(folder / "deepnets1m_train.hdf5", "train")
    split = nl.spaces.read_published(path, "val")
    with pytest.raises(IndexError):
        split.published_graph(2)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert split[0].num_params and len(split) == 2  # networks need no h5py
    with pytest.raises(FormatError, match="pip install h5py"):
        split.published_graph(0)
    monkeypatch.undo()
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(FormatError, match="cannot read"):
        split.published_graph(0)
    document = json.loads((folder / "deepnets1m_eval_meta.json").read_text())
    del document["val"]["nets"][0]["norm"]
    document["wide"]["nets"] = 3
    document["val"]["nets"][1]["genotype"]["normal"][0][0] = "__import__('os')"
    (folder / "deepnets1m_eval_meta.json").write_text(json.dumps(document))
    with pytest.raises(FormatError, match="network 0 of val without 'norm'"):
        nl.spaces.read_published(path, "val")[0]
    with pytest.raises(FormatError, match="network 1 of val: .*no operation"):
        nl.spaces.read_published(path, "val")[1]
    with pytest.raises(FormatError, match="no list of networks"):
        nl.spaces.read_published(path, "wide")
    (folder / "deepnets1m_eval_meta.json").write_text("{")
    with pytest.raises(FormatError, match="no JSON"):
        nl.spaces.read_published(path, "val")

"""Files of hypernetworks: what is read, what is refused, and that nothing in them is run."""

from __future__ import annotations

import gzip
import io
import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch

import netloom as nl
from netloom.errors import DownloadError, HypernetworkError
from tests.ghn.networks import IMAGE, small


def same(a: Any, b: Any) -> bool:
    """Whether two hypernetworks are the same, and predict the same."""
    tensors = zip(a.state_dict().values(), b.state_dict().values())
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(7200, 10))
    with torch.no_grad():
        first, second = a.predict(model, IMAGE).tensors, b.predict(model, IMAGE).tensors
    return (
        a.config == b.config
        and all(torch.equal(x, y) for x, y in tensors)
        and all(map(torch.equal, first.values(), second.values()))
    )


def every_kind() -> list[Any]:
    torch.manual_seed(0)
    return [
        nl.ghn.GHN1((16, 16, 5, 5), 10, hid=16).eval(), small(), nl.ghn.MLP((16, 16, 5, 5), 10, hid=16).eval(),
        small(decoder="mlp"), nl.ghn.GHN3((16, 16, 5, 5), 10, hid=16, layers=2, heads=4).eval(),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(5))
def test_every_format_is_read(number: int, tmp_path: Path) -> None:
    ghn = every_kind()[number]
    ghn.about["task"] = "digits"
    found = nl.ghn.load(ghn.save(tmp_path / "own.safetensors"))
    assert same(found, ghn) and found.about["task"] == "digits" and type(found) is type(ghn) and not found.training
    state = {name: tensor.clone() for name, tensor in ghn.state_dict().items()}
    torch.save(
        {"config": ghn.config.to_dict(), "state_dict": state, "optimzer": {"state": {}}, "epoch": 3}, tmp_path / "published.pt"
    )
    found = nl.ghn.load(tmp_path / "published.pt")
    assert same(found, ghn) and found.about["epoch"] == 3
    joblib.dump(state, tmp_path / "bare.pt")
    assert same(nl.ghn.load(tmp_path / "bare.pt"), ghn)


def test_a_published_ghn3_has_some_embeddings_elsewhere(tmp_path: Path) -> None:
    ghn = every_kind()[4]
    state = {
        name.removeprefix("gnn.0.") if "_embed_" in name or "dist" in name else name: t for name, t in ghn.state_dict().items()
    }
    assert "input_dist_embed.weight" in state
    joblib.dump(state, tmp_path / "ghn3.pt", compress=3)
    assert same(nl.ghn.load(tmp_path / "ghn3.pt"), ghn)


def test_a_ghn2_held_as_linear_layers(tmp_path: Path) -> None:
    ghn = small()
    state = {n: t.squeeze() if n.startswith("decoder.") and t.dim() == 4 else t for n, t in ghn.state_dict().items()}
    joblib.dump(state, tmp_path / "ghn2.pt")
    assert same(nl.ghn.load(tmp_path / "ghn2.pt"), ghn)


# -- code inside -----------------------------------------------------------------------------------------------------------
class Exploit:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def hostile_files(tmp_path: Path) -> dict[str, Path]:
    """Files that run a command where they are read carelessly."""
    target = tmp_path / "pwned"
    state = {"embed.weight": torch.zeros(15, 16), "exploit": Exploit(target)}
    files = {name: tmp_path / f"{name}.pt" for name in ("zip", "legacy", "pickle", "joblib", "compressed", "nested")}
    torch.save({"config": {}, "state_dict": state}, files["zip"])
    torch.save(state, files["legacy"], _use_new_zipfile_serialization=False)
    files["pickle"].write_bytes(pickle.dumps(state))
    joblib.dump(state, files["joblib"])
    files["compressed"].write_bytes(gzip.compress(pickle.dumps(state)))
    inner = io.BytesIO()
    torch.save(Exploit(target), inner, _use_new_zipfile_serialization=False)

    class Nested:
        def __reduce__(self) -> Any:
            return torch.storage._load_from_bytes, (inner.getvalue(),)

    files["nested"].write_bytes(pickle.dumps({"embed.weight": Nested()}))
    return files


def test_the_exploits_are_real(tmp_path: Path) -> None:
    files = hostile_files(tmp_path)
    pickle.loads(files["pickle"].read_bytes())
    assert (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["zip", "legacy", "pickle", "joblib", "compressed", "nested"])
def test_code_in_a_file_is_not_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(HypernetworkError):
        nl.ghn.load(hostile_files(tmp_path)[name])
    assert not (tmp_path / "pwned").exists()


def test_a_refusal_says_what_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(HypernetworkError, match="system, which is more than tensors and numbers: it may run code"):
        nl.ghn.load(hostile_files(tmp_path)["joblib"])


# -- other files -------------------------------------------------------------------------------------------------------------
def test_what_is_no_hypernetwork(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    empty, text, other, foreign = (tmp_path / name for name in ("empty.pt", "text.pt", "other.pt", "foreign.safetensors"))
    empty.write_bytes(b"")
    text.write_text("not a checkpoint, but long enough to be looked at")
    torch.save([1, 2, 3], other)
    save_file({"weight": torch.zeros(2)}, foreign)
    for path, said in ((empty, "is empty"), (text, "cannot be read"), (other, "holds a list"), (foreign, "is no hypernetwork")):
        with pytest.raises(HypernetworkError, match=said):
            nl.ghn.load(path)
    with pytest.raises(HypernetworkError, match="is a folder"):
        nl.ghn.load(tmp_path)
    with pytest.raises(HypernetworkError, match="there is no file"):
        nl.ghn.load(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hid": 32}, "where the configuration makes it"),
        ({"layernorm": False}, "has 'ln.bias' and 1 more, which no such hypernetwork has"),
        ({"depth": 3}, "'depth', which no hypernetwork takes"),
        ({"max_shape": (16, 16)}, "expected four whole numbers"),
        ({"max_shape": (10**6, 10**6, 5, 5)}, "where the configuration makes it"),  # compared before memory is taken
        ({"hid": 10**9}, "no hypernetwork can have this configuration"),
        ({"ve": "no"}, "ve = 'no'; expected True or False"),
    ],
)
def test_another_configuration_is_named(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    ghn = small()
    torch.save({"config": {**ghn.config.to_dict(), **changes}, "state_dict": ghn.state_dict()}, tmp_path / "other.pt")
    with pytest.raises(HypernetworkError, match=said):
        nl.ghn.load(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t * float("nan"), "has values that are not finite"),
        (lambda t: t.to(torch.int64), "has values of torch.int64"),
        (lambda t: t.to_sparse(), "has a sparse layout"),
        (lambda t: torch.zeros(()), r"is \(\) where the configuration makes it"),
    ],
)
def test_tensors_that_no_training_makes(change: Any, said: str, tmp_path: Path) -> None:
    ghn = small()
    state = {name: change(tensor) for name, tensor in ghn.state_dict().items()}
    torch.save({"config": ghn.config.to_dict(), "state_dict": state}, tmp_path / "odd.pt")
    with pytest.raises(HypernetworkError, match=said):
        nl.ghn.load(tmp_path / "odd.pt")


def test_names_that_are_no_text_and_tensors_without_size(tmp_path: Path) -> None:
    torch.save({1: torch.zeros(2)}, tmp_path / "numbers.pt")
    torch.save({name: torch.zeros(0, 0) for name in small().state_dict()}, tmp_path / "nothing.pt")
    for name, said in (("numbers.pt", "is no hypernetwork"), ("nothing.pt", "the names of one, but not the shapes")):
        with pytest.raises(HypernetworkError, match=said):
            nl.ghn.load(tmp_path / name)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_file_that_is_cut_off(share: float, tmp_path: Path) -> None:
    ghn = small()
    torch.save({"config": ghn.config.to_dict(), "state_dict": ghn.state_dict()}, tmp_path / "whole.pt")
    data = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: int(share * len(data))])
    with pytest.raises(HypernetworkError, match="is cut off or damaged; get it anew"):
        nl.ghn.load(tmp_path / "cut.pt")


@pytest.mark.parametrize("given", [None, 5, b"digits", "", torch.nn.Linear(2, 2)])
def test_what_is_neither_a_file_nor_a_name(given: Any) -> None:
    with pytest.raises(HypernetworkError, match="is neither a file nor a name; there is: digits"):
        nl.ghn.load(given)


@pytest.mark.parametrize("device", ["quantum", "cuda:99"])
def test_devices_that_are_not_there(device: str) -> None:
    with pytest.raises(HypernetworkError, match=f"device = '{device}'"):
        nl.ghn.load("digits", device=device)


def test_names_are_known_and_near_ones_offered() -> None:
    assert {"ghn1_cifar10", "ghn2_cifar10", "ghn1_imagenet", "ghn2_imagenet", "mlp_cifar10", "ghn3tm8", "ghn3xlm16"} <= set(
        nl.ghn.names()
    )
    with pytest.raises(DownloadError, match="did you mean 'ghn2_cifar10'"):
        nl.ghn.load("ghn2_cifar")


def test_without_network_the_address_and_the_folder_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr("netloom.tasks.downloads.transfer.PAUSES_SECONDS", ())
    with pytest.raises(DownloadError, match="raw.githubusercontent.com/.*ghn2_cifar10.pt") as caught:
        nl.ghn.load("ghn2_cifar10", data_dir=tmp_path)
    assert str(tmp_path / "ghn") in str(caught.value)


def test_a_file_put_there_by_hand_is_checked(tmp_path: Path) -> None:
    """One that is not the published one is refused by its checksum."""
    (tmp_path / "ghn").mkdir()
    torch.save({}, tmp_path / "ghn" / "ghn2_cifar10.pt")
    with pytest.raises(DownloadError, match="ghn2_cifar10.pt"):
        nl.ghn.GHN2.__mro__  # noqa: B018  (the class is there without the file)
        nl.ghn.load("ghn2_cifar10", data_dir=tmp_path)

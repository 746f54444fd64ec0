"""What can be fetched: addresses, checksums where they are publicly known, and where it all comes from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ...errors import DownloadError

_PPUDA = "https://raw.githubusercontent.com/facebookresearch/ppuda/4673a42507a9dcd0a5ae04e74599e8c92af689b9/checkpoints"
_GHN3 = "https://huggingface.co/SamsungSAILMontreal/ghn3/resolve/main"
_DEEPNETS = "https://dl.fbaipublicfiles.com/deepnets1m"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at one or several addresses.

    ``checksum`` is ``sha256:…``, ``md5:…`` or ``git:…`` (the SHA-1 by which git knows a file); empty where none is publicly
    known. ``holds`` names what an archive unpacks to. ``megabytes`` is for people.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str = ""
    holds: str = ""
    megabytes: float = 0.0


@dataclass(frozen=True, slots=True)
class RemoteData:
    """Files that belong together; ``more`` are fetched when they are asked for."""

    name: str
    title: str
    source: str
    files: tuple[RemoteFile, ...]
    more: tuple[RemoteFile, ...] = ()

    def chosen(self, *, names: tuple[str, ...] = (), everything: bool = False) -> tuple[RemoteFile, ...]:
        """The usual files, all of them, or those of these names."""
        known = {file.name: file for file in (*self.files, *self.more)}
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise DownloadError(f"{self.name} has no file {name!r}; {hint}there is: {', '.join(known)}")
        if names:
            return tuple(known[name] for name in names)
        return tuple(known.values()) if everything else self.files


def _deepnets(name: str, md5: str, megabytes: float, holds: str = "") -> RemoteFile:
    return RemoteFile(name, (f"{_DEEPNETS}/{name}",), f"md5:{md5}", holds, megabytes)


def _ppuda(name: str, blob: str, megabytes: float = 0.0) -> RemoteFile:
    return RemoteFile(name, (f"{_PPUDA}/{name}",), f"git:{blob}", megabytes=megabytes)


def _ghn3(name: str, megabytes: float) -> RemoteFile:
    return RemoteFile(name, (f"{_GHN3}/{name}",), megabytes=megabytes)


#: Name → what `fetch` gets.
CATALOGUE: dict[str, RemoteData] = {
    "cifar10": RemoteData(
        "cifar10",
        "CIFAR-10, 60,000 images 32×32 in 10 classes",
        'A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009',
        (
            RemoteFile(
                "cifar-10-python.tar.gz",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/cifar-10-python.tar.gz",
                ),
                "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                "cifar-10-batches-py",
                170.5,
            ),
        ),
    ),
    "pennfudan": RemoteData(
        "pennfudan",
        "Penn-Fudan, 170 street scenes with boxes and masks of 345 pedestrians",
        'L. Wang et al., "Object Detection Combining Recognition and Segmentation", ACCV 2007',
        (
            RemoteFile(
                "PennFudanPed.zip",
                ("https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip",),
                holds="PennFudanPed",
                megabytes=53.7,
            ),
        ),
    ),
    "deepnets1m": RemoteData(
        "deepnets1m",
        "DeepNets-1M, architectures for graph hypernetworks: the splits to evaluate on, and what describes all splits",
        'B. Knyazev et al., "Parameter Prediction for Unseen Deep Architectures", NeurIPS 2021',
        (
            _deepnets("deepnets1m_eval.hdf5", "1f5641329271583ad068f43e1521517e", 16),
            _deepnets("deepnets1m_meta.tar.gz", "a42b6f513da6bbe493fc16a30d6d4e3e", 35, "deepnets1m_eval_meta.json"),
        ),
        (
            _deepnets("deepnets1m_search.hdf5", "0a93f4b4e3b729ea71eb383f78ea9b53", 1300),
            _deepnets("deepnets1m_train.hdf5", "90bbe84bb1da0d76cdc06d5ff84fa23d", 10300),
        ),
    ),
    "ghn": RemoteData(
        "ghn",
        "published graph hypernetworks: GHN-2 for CIFAR-10 and ImageNet; GHN-1, the MLP and GHN-3 on request",
        "B. Knyazev et al., NeurIPS 2021 (GHN-2) and ICML 2023 (GHN-3)",
        (
            _ppuda("ghn2_cifar10.pt", "4f290e0fad1b73066eeabb50be52e0c377d0b15b"),
            _ppuda("ghn2_imagenet.pt", "7b5d6733e9fdf0069bc6186cad3a0b1b54fda68d"),
        ),
        (
            _ppuda("ghn1_cifar10.pt", "0c97a283aefc0445dd357c08f1b36698149b8013"),
            _ppuda("ghn1_imagenet.pt", "985ebeb350c4ae79e0553d88c07d986fa69c227b"),
            _ppuda("mlp_cifar10.pt", "3a987c98b437fd2dfc603668a846f2b632ed28a3"),
            _ghn3("ghn3tm8.pt", 28),
            _ghn3("ghn3sm8.pt", 140),
            _ghn3("ghn3lm8.pt", 860),
            _ghn3("ghn3xlm16.pt", 2600),
        ),
    ),
}


def find_data(name: str) -> RemoteData:
    """The entry of the catalogue; `DownloadError` lists what there is."""
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, CATALOGUE, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DownloadError(f"nothing called {name[:80]!r} can be fetched; {hint}there is: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]

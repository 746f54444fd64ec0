"""Meta-features: numbers that describe a data set, whatever its columns mean.

The 23 features of Netformer, with pymfe's definitions (Alcobaça et al. 2020, MFE: Towards reproducible meta-feature extraction,
JMLR 21), are 37 numbers: a feature with a value for each column (or class, or node of a tree) is summarised by ``mean`` and
``sd``. `FEATURES` has the formula of each.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from .metafeatures_information import EPSILON, MOST_COLUMNS, Information
from .metafeatures_statistics import Statistics
from .metafeatures_tree import Tree
from .metafeatures_views import TARGETS, Views, read_views

if TYPE_CHECKING:
    import numpy

GENERAL, STATISTICAL, INFORMATION, TREE = "general", "statistical", "information", "tree"


@dataclass(frozen=True, slots=True)
class Feature:
    """What a meta-feature is: its group, its formula, whether it has several values, and whether it asks for classes.

    In formulas X has n rows and d columns; N are the columns of numbers with 0 and 1 for the levels of the others; C the
    categorical columns, and the numeric ones in ⌊n^⅓⌋ bins of equal frequency; q = p + 1e-8 over all cells of a table of p;
    τ is Goodman and Kruskal's concentration coefficient.
    """

    group: str
    formula: str
    several: bool = True
    classes: bool = True


#: Name → what it is, in alphabetical order.
FEATURES: dict[str, Feature] = {
    "attr_conc": Feature(INFORMATION, f"τ of each ordered pair of columns of C, {MOST_COLUMNS} of them at most", classes=False),
    "attr_ent": Feature(INFORMATION, "H = −Σ p log₂ p of each column of C, in bits", classes=False),
    "attr_to_inst": Feature(GENERAL, "d / n", several=False, classes=False),
    "class_conc": Feature(INFORMATION, "τ = (Σ q_ij²/q_·j − Σ q_i·²) / (1 − Σ q_i·²), of each column i of C from class j"),
    "class_ent": Feature(INFORMATION, "H(y), in bits", several=False),
    "cor": Feature(STATISTICAL, "|Pearson's r| of each pair of columns of N", classes=False),
    "cov": Feature(STATISTICAL, "|covariance|, divisor n − 1, of each pair of columns of N", classes=False),
    "eq_num_attr": Feature(INFORMATION, "d_C · H(y) / Σ mut_inf", several=False),
    "f1": Feature(STATISTICAL, "1 / (1 + Σ_c n_c (mean_c − mean)² / Σ_c Σ_{i∈c} (x_i − mean_c)²) of each column of N"),
    "f2": Feature(STATISTICAL, "Π over columns of N of overlap / extent of the ranges, of each pair of classes"),
    "gravity": Feature(STATISTICAL, "‖mean of the most frequent class − of the least frequent other‖ over N", several=False),
    "inst_to_attr": Feature(GENERAL, "n / d", several=False, classes=False),
    "kurtosis": Feature(STATISTICAL, "m₄/m₂² · (1 − 1/n)² − 3 of each column of N", classes=False),
    "leaves_branch": Feature(TREE, "depth of each leaf of scikit-learn's decision tree on N"),
    "leaves_per_class": Feature(TREE, "share of the leaves that predict a class, of each class that some leaf predicts"),
    "mut_inf": Feature(INFORMATION, "H(column) + H(y) + Σ q log₂ q of each column of C with y"),
    "nodes_per_attr": Feature(TREE, "inner nodes of the tree / columns of N", several=False),
    "nr_attr": Feature(GENERAL, "d", several=False, classes=False),
    "nr_class": Feature(GENERAL, "number of classes", several=False),
    "ns_ratio": Feature(INFORMATION, "(Σ attr_ent − Σ mut_inf) / Σ mut_inf", several=False),
    "skewness": Feature(STATISTICAL, "m₃/m₂^1.5 · ((n − 1)/n)^1.5 of each column of N", classes=False),
    "sparsity": Feature(STATISTICAL, "(n / number of different values − 1) / (n − 1) of each column of X", classes=False),
    "tree_depth": Feature(TREE, "depth of each node of the tree, 0 at the root"),
}  # fmt: skip
SUMMARIES = ("mean", "sd")
#: Ratios that are rounding where columns and classes share no information.
_RATIOS = ("eq_num_attr", "ns_ratio")
#: Shared information below this, for each column, is what 1e-8 in every cell of a table makes.
_NOISE = 100 * EPSILON


class MetaFeatures(dict[str, float]):
    """Name → value, ordered; ``reasons`` says of each value that is NaN why it is."""

    def __init__(self, values: Mapping[str, float], reasons: Mapping[str, str]) -> None:
        super().__init__(values)
        self.reasons = dict(reasons)


def names(features: Iterable[str] | str | None = None) -> tuple[str, ...]:
    """The numbers that `get_meta_features` gives, in order; `TaskError` for a feature that does not exist.

    >>> names(["nr_class", "cor", "f1.sd"])
    ('nr_class', 'cor.mean', 'cor.sd', 'f1.sd')
    >>> len(names())
    37
    """
    wanted = FEATURES if features is None else [features] if isinstance(features, str) else features
    found: dict[str, None] = {}
    for name in wanted:
        feature, _, summary = str(name).partition(".")
        known = FEATURES.get(feature)
        if known is None or (summary and not (known.several and summary in SUMMARIES)):
            near = difflib.get_close_matches(str(name), [*FEATURES, *names()], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(FEATURES)}"
            raise TaskError(f"there is no meta-feature {str(name)[:60]!r}; {hint}")
        own = [name] if summary else [f"{feature}.{s}" for s in SUMMARIES] if known.several else [feature]
        found.update(dict.fromkeys(own))
    return tuple(found)


def get_meta_features(
    X: Any,
    y: Any = None,
    features: Iterable[str] | None = None,
    *,
    target: str = "auto",
    compatible: bool = False,
    seed: int = 0,
    max_tree_rows: int | None = None,
) -> MetaFeatures:
    """The meta-features of samples ``X`` (n, d) with targets ``y`` (n,): an ordered mapping name → float.

    ``X`` is an array, a tensor, a list of rows or a DataFrame, of numbers, text or both; a column is categorical where it holds
    anything but numbers. ``features`` names some of `FEATURES` (``"cor"``, or ``"cor.mean"`` alone); all by default. The
    decision tree, which takes most of the time, is grown only where a feature asks for it, on ``max_tree_rows`` rows drawn
    with ``seed`` where that is given.

    Real-valued targets become three quantile classes (``y > q_⅓`` plus ``y > q_⅔``). ``target`` overrides what ``y`` is taken
    for: ``"classes"`` every different value is one, ``"quantiles"``, or ``"nan"``: features of classes are NaN for real
    values. Without ``y`` they are NaN too. Rows without a target are left out.

    What cannot be computed is NaN, and ``.reasons`` of the result says why. Missing cells stay missing: moments, correlations,
    distances of such a column are NaN, as is every mean they enter; in C it is a single value, or a level of its own
    where the column is categorical. ``compatible=True`` gives pymfe's values where it divides by rounding, and takes every
    value of ``y`` for a class, as pymfe 0.4.4 does; all other values are the same up to rounding. Raises `TaskError` where
    there is no sample, or ``X`` and ``y`` have different lengths.

    >>> from sklearn.datasets import load_iris
    >>> found = get_meta_features(*load_iris(return_X_y=True))
    >>> len(found), found["nr_class"], round(found["cor.mean"], 4)
    (37, 3.0, 0.5941)
    >>> constant = get_meta_features([[1.0, 2.0], [1.0, 3.0]], [0, 1], ["skewness"])
    >>> constant.reasons["skewness.mean"]
    'column 0 is constant'
    """
    if target not in TARGETS:
        raise TaskError(f"target = {target!r}; expected one of {', '.join(TARGETS)}")
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise TaskError(f"seed = {seed!r}; expected a whole number from 0 to 2³² − 1")
    if max_tree_rows is not None and (type(max_tree_rows) is not int or max_tree_rows < 1):
        raise TaskError(f"max_tree_rows = {max_tree_rows!r}; expected a number of rows, 1 or more")
    wanted = names(features)
    views = read_views(X, y, "classes" if compatible else target)
    engine = _Engine(views, compatible, seed, max_tree_rows)
    values, reasons = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # divisions by zero are NaN, which has its reason
        for name in wanted:
            feature, _, summary = name.partition(".")
            found = engine.values(feature)
            value = _summary(found, summary)
            # What is too large for a number is none; pymfe has infinity.
            values[name] = value if compatible or abs(value) < math.inf else math.nan
            if values[name] != values[name]:
                reasons[name] = engine.reason(feature, found, summary)
    return MetaFeatures(values, reasons)


def _summary(found: numpy.ndarray, summary: str) -> float:
    if not len(found):
        return float("nan")
    if summary == "sd":
        return float(found.std(ddof=1)) if len(found) > 1 else float("nan")
    return float(found.mean()) if summary else float(found[0])


class _Engine:
    """Computes each feature once."""

    def __init__(self, views: Views, compatible: bool, seed: int, max_tree_rows: int | None) -> None:
        self.views, self.compatible = views, compatible
        self._parts = {
            STATISTICAL: Statistics(views),
            INFORMATION: Information(views, seed),
            TREE: Tree(views, seed, max_tree_rows),
            GENERAL: _General(views),
        }
        self._found: dict[str, numpy.ndarray] = {}
        self._errors: dict[str, str] = {}

    def values(self, feature: str) -> numpy.ndarray:
        """Its values, empty where there are none."""
        import numpy as np

        if feature not in self._found:
            found = np.zeros(0)
            if not self._impossible(feature):
                compute: Callable[[], numpy.ndarray] = getattr(self._parts[FEATURES[feature].group], feature)
                try:
                    with np.errstate(all="ignore"):
                        found = np.asarray(compute(), dtype=np.float64)
                except (ValueError, MemoryError, np.linalg.LinAlgError) as error:
                    self._errors[feature] = str(error).strip().splitlines()[0] if str(error).strip() else "out of memory"
            self._found[feature] = found
        return self._found[feature]

    def _impossible(self, feature: str) -> str:
        """Why a feature has no value at all; empty where it has."""
        about, views = FEATURES[feature], self.views
        if about.classes and views.classes is None:
            return views.no_classes
        needs_numbers = about.group in (STATISTICAL, TREE) and feature != "sparsity"
        if needs_numbers and views.numbers is None:
            return "its categorical columns have too many levels to be written as columns of 0 and 1"
        if feature in _RATIOS and not self.compatible:
            if len(views.counts) < 2:
                return "there is one class only"
            shared = float(self.values("mut_inf").sum())
            if abs(shared) <= _NOISE * len(views.codes):
                return "columns and classes share no information, by which it would be divided"
        return ""

    def reason(self, feature: str, found: numpy.ndarray, summary: str) -> str:
        """Why a value is NaN."""
        import numpy as np

        reason = self._errors.get(feature) or self._impossible(feature)
        if reason:
            return reason
        views, about = self.views, FEATURES[feature]
        if feature == "leaves_per_class" and not len(found):
            return "the tree has no node but its root"
        if feature in ("gravity", "f2") and len(views.counts) < 2:
            return "there is one class only"
        if feature in ("cor", "cov", "attr_conc") and not len(found):
            return "there is one column only, no pair"
        if summary == "sd" and len(found) == 1 and found[0] == found[0]:
            return "there is one value only, which has no standard deviation"
        if views.n == 1:
            return "there is one row only"
        if np.isinf(found).any() and not views.flawed["infinite"]:
            return "it is too large for a number of 64 bits"
        for flaw, words in _FLAWS.items():
            places = views.flawed[flaw]
            if places and (about.group != INFORMATION):
                return _named(places, *words)
        return "it divides zero by zero"


_FLAWS = {
    "missing": ("has missing cells", "have missing cells"),
    "infinite": ("has infinite cells", "have infinite cells"),
    "constant": ("is constant", "are constant"),
    "extreme": ("has cells too large or too near each other to be squared", "have cells too large or too near to be squared"),
}


def _named(places: list[int], one: str, several: str) -> str:
    if len(places) == 1:
        return f"column {places[0]} {one}"
    shown = ", ".join(map(str, places[:5])) + (f" and {len(places) - 5} more" if len(places) > 5 else "")
    return f"columns {shown} {several}"


class _General:
    """Sizes of a table."""

    def __init__(self, views: Views) -> None:
        self.views = views

    def attr_to_inst(self) -> Any:
        return [self.views.d / self.views.n]

    def inst_to_attr(self) -> Any:
        return [self.views.n / self.views.d]

    def nr_attr(self) -> Any:
        return [self.views.d]

    def nr_class(self) -> Any:
        return [len(self.views.counts)]

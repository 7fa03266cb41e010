"""CatBoost's trees as arrays, and back.

CatBoost's own readers trust their files: a split that isn't there leads out of an array. So no file of theirs is kept
in a saved head. What is kept are arrays, which a few lines can check, and from which CatBoost's JSON is written anew.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from catboost import CatBoost, CatBoostError  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DTYPES", "LOSSES", "Trees", "model_from", "trees_of"]

Trees: TypeAlias = "dict[str, npt.NDArray[Any]]"

#: CatBoost's trees are oblivious: all splits of one level are the same, so a tree of depth d has d splits and 2 ** d
#: leaves, each with a value for each column of scores. `depth` has a value for each tree, `bias` one for each column;
#: in the others, those of one tree follow those of the tree before.
DTYPES: Final[Mapping[str, type[np.generic]]] = {
    "bias": np.float64,
    "border": np.float32,
    "depth": np.int32,
    "leaf_value": np.float64,
    "split_feature": np.int32,
}
LOSSES: Final = ("Logloss", "MultiClass", "MultiClassOneVsAll")
MAX_DEPTH: Final = 16  # CatBoost's own bound
MAX_FEATURES: Final = 100_000
#: Of absolute leaves and biases. Far beyond what training gives, and far from where scores would be infinite.
MAX_SUM: Final = 1e12
MAX_TREES: Final = 100_000


def trees_of(model: CatBoost) -> Trees:
    """Return the trees of a trained model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        model.save_model(str(path), format="json")
        trees = json.loads(path.read_bytes())["oblivious_trees"]
    splits = [tree["splits"] or [] for tree in trees]
    columns: dict[str, Any] = {
        "bias": np.atleast_1d(model.get_scale_and_bias()[1]),
        "border": [split["border"] for tree in splits for split in tree],
        "depth": [*map(len, splits)],
        "leaf_value": model.get_leaf_values(),
        "split_feature": [split["float_feature_index"] for tree in splits for split in tree],
    }
    return {name: np.array(columns[name], dtype) for name, dtype in DTYPES.items()}


def model_from(trees: Mapping[str, npt.NDArray[Any]], loss: str, num_features: int, num_class: int) -> CatBoost:
    """Build a model, if these are its trees.

    Args:
        trees: Arrays as in `DTYPES`, whatever they hold.
        loss: One of `LOSSES`.
        num_features: Size of one embedding.
        num_class: How many classes there are.

    Raises:
        ValueError: There are more or fewer splits or leaves than the trees have, a split names a feature that isn't
            there, a number is not finite, or CatBoost refuses them.
    """
    if loss not in LOSSES or (loss == "Logloss") != (num_class == 2) or not 1 <= num_features <= MAX_FEATURES:
        raise ValueError("its loss doesn't fit its classes, or its number of features is none that a body gives")
    columns = 1 if loss == "Logloss" else num_class
    _check(trees, num_features, columns)
    model = CatBoost()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        path.write_text(json.dumps(_document(trees, num_features, columns)))
        try:
            model.load_model(str(path), format="json")
        except CatBoostError as error:  # it takes no more than 65,535 features that split
            raise ValueError(str(error)) from error
    # What CatBoost reads from JSON may differ in the last bit, so it gets these numbers as they are.
    model.set_leaf_values(trees["leaf_value"])
    model.set_scale_and_bias(1.0, trees["bias"].tolist())
    return model


def _check(trees: Mapping[str, npt.NDArray[Any]], num_features: int, columns: int) -> None:
    for name, dtype in DTYPES.items():
        if name not in trees or trees[name].dtype != dtype or trees[name].ndim != 1:
            raise ValueError(f"`{name}` is no list of {dtype.__name__}")
    depth, features = trees["depth"].astype(np.int64), trees["split_feature"]
    if len(depth) > MAX_TREES:
        raise ValueError(f"there are more than {MAX_TREES} trees")
    if not len(depth) or not 0 <= depth.min() <= depth.max() <= MAX_DEPTH:
        raise ValueError(f"`depth` holds no trees, or one of more than {MAX_DEPTH} levels")
    if not len(features) == len(trees["border"]) == depth.sum():
        raise ValueError("there are more or fewer splits than `depth` says")
    if len(trees["leaf_value"]) != columns * (1 << depth).sum() or len(trees["bias"]) != columns:
        raise ValueError("there are more or fewer leaves than `depth` and the classes say")
    if not all(np.isfinite(trees[name]).all() for name in ("bias", "border", "leaf_value")):
        raise ValueError("a border, a bias or the value of a leaf is not finite")
    if not sum(np.abs(trees[name] / MAX_SUM).sum() for name in ("bias", "leaf_value")) <= 1:
        raise ValueError(f"the absolute values of the leaves and biases sum to more than {MAX_SUM:g}")
    if len(features) and not 0 <= features.min() <= features.max() < num_features:
        raise ValueError("`split_feature` names a feature that isn't there")


def _document(trees: Mapping[str, npt.NDArray[Any]], num_features: int, columns: int) -> dict[str, Any]:
    """Return what CatBoost reads: it counts the different splits, sorted by feature and border."""
    pairs = np.stack([trees["split_feature"].astype(np.float64), trees["border"].astype(np.float64)], axis=1)
    different, numbers = np.unique(pairs, axis=0, return_inverse=True)
    borders: list[list[float]] = [[] for _ in range(num_features)]
    for feature, border in different.tolist():
        borders[int(feature)].append(border)
    split = iter(numbers.ravel().tolist())
    return {
        "model_info": {},
        "features_info": {
            "float_features": [
                {
                    "feature_index": number,
                    "flat_feature_index": number,
                    "feature_id": "",
                    "has_nans": False,
                    "nan_value_treatment": "AsIs",
                    "borders": values,
                }
                for number, values in enumerate(borders)
            ]
        },
        "oblivious_trees": [
            {
                "splits": [{"split_index": next(split), "split_type": "FloatFeature"} for _ in range(depth)],
                "leaf_values": [0] * (columns << depth),
            }
            for depth in trees["depth"].tolist()
        ],
        "scale_and_bias": [1, [0] * columns],
    }

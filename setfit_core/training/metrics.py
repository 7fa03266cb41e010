"""Metrics for `Trainer.evaluate`, computed by scikit-learn without any download."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from sklearn import metrics as sklearn_metrics

from setfit_core.errors import ArgumentError
from setfit_core.labels import IntArray

MetricFunction: TypeAlias = Callable[..., Any]

METRICS: Final[Mapping[str, Callable[..., Any]]] = {
    "accuracy": sklearn_metrics.accuracy_score,
    "balanced_accuracy": sklearn_metrics.balanced_accuracy_score,
    "f1": sklearn_metrics.f1_score,
    "matthews_correlation": sklearn_metrics.matthews_corrcoef,
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
}


def check_metric(metric: str | MetricFunction) -> None:
    """Check that a metric is known or callable.

    Raises:
        ArgumentError: If it is neither.
    """
    if isinstance(metric, str):
        if metric not in METRICS:
            msg = f"metric is {metric!r}. Known are {', '.join(METRICS)}; or give a function (y_pred, y_test)."
            raise ArgumentError(msg)
    elif not callable(metric):
        msg = f"metric is a {type(metric).__name__}. Give a name ({', '.join(METRICS)}) or a function (y_pred, y_test)."
        raise ArgumentError(msg)


def compute_metric(
    metric: str | MetricFunction, predicted: IntArray, expected: IntArray, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metric by name.

    Args:
        metric: A name from `METRICS`, or a function of `(y_pred, y_test)` that returns a number or a mapping.
        predicted: Columns `[n]` (places in `model.labels`), or indicators `[n, num_labels]`.
        expected: The true ones, of the same shape.
        options: Keyword arguments for the metric.

    Raises:
        ArgumentError: If scikit-learn refuses the options for this data (`"f1"` of several classes wants
            `average`).
    """
    if not isinstance(metric, str):
        result = metric(predicted, expected, **options)
        return dict(result) if isinstance(result, Mapping) else {"metric": result}
    try:
        value = METRICS[metric](expected, predicted, **options)
    except (TypeError, ValueError) as error:
        msg = (
            f"{metric} can't be computed: {error} Pass options with metric_kwargs, for instance "
            "metric_kwargs={'average': 'macro'} for more than two classes."
        )
        raise ArgumentError(msg) from error
    return {metric: float(value) if np.ndim(value) == 0 else np.asarray(value).tolist()}

"""The types that a skops file may hold without anybody's say-so: one by one, never a pattern.

skops has a list of its own, with every public estimator of scikit-learn and every ufunc. It is not used here: an
estimator is on this list only if it was looked through for what a false state does in its compiled code, and what
can go wrong there is checked after loading (see `estimators`). RadiusNeighborsClassifier is not on it: its compiled
code never compares the width of what it is given with its own.
"""

from __future__ import annotations

from typing import Final

#: What the state of an estimator is stored as: plain Python and numpy, by the loader that builds it.
CONTAINERS: Final[dict[str, frozenset[str]]] = {
    "DictNode": frozenset({"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"}),
    "DefaultDictNode": frozenset({"collections.defaultdict"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "SetNode": frozenset({"builtins.set"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "BytesNode": frozenset({"builtins.bytes"}),
    "BytearrayNode": frozenset({"builtins.bytearray"}),
    "MaskedArrayNode": frozenset({"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"}),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
}

#: numpy's scalar types that are a number, a string or a truth value. Not `void`: it takes a size and allocates it.
SCALARS: Final = frozenset(
    f"numpy.{name}"
    for name in (
        *("bool", "bool_", "str_", "bytes_"),
        *("int8", "int16", "int32", "int64", "longlong", "uint8", "uint16", "uint32", "uint64", "ulonglong"),
        *("float16", "float32", "float64", "longdouble", "complex64", "complex128"),
    )
)
#: What the keys of a dict may be made of. skops calls these types with a string of the file.
KEYS: Final = SCALARS | {f"builtins.{name}" for name in ("str", "int", "float", "bool")}
#: Types that may be values themselves, such as a dtype.
TYPES: Final = KEYS | {f"builtins.{name}" for name in ("list", "dict", "set", "tuple", "object")}

TREE: Final = "sklearn.tree._tree.Tree"

LOSSES: Final = frozenset(
    {
        *(
            f"sklearn.linear_model._sgd_fast.{name}"
            for name in (
                *("EpsilonInsensitive", "Hinge", "ModifiedHuber", "SquaredEpsilonInsensitive", "SquaredHinge"),
                *("Huber", "Log", "SquaredLoss"),  # before scikit-learn 1.6
            )
        ),
        *(
            f"sklearn._loss._loss.{name}"
            for name in (
                *("CyAbsoluteError", "CyExponentialLoss", "CyHalfBinomialLoss", "CyHalfMultinomialLoss"),
                *("CyHalfSquaredError", "CyHuberLoss"),
            )
        ),
    }
)

#: Estimators, and what they hold. Those whose compiled code a false state can crash are checked in `estimators`.
OBJECTS: Final = frozenset(
    {
        # Linear models and support vectors
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._logistic.LogisticRegressionCV",
        "sklearn.linear_model._passive_aggressive.PassiveAggressiveClassifier",
        "sklearn.linear_model._perceptron.Perceptron",
        "sklearn.linear_model._ridge.RidgeClassifier",
        "sklearn.linear_model._ridge.RidgeClassifierCV",
        "sklearn.linear_model._stochastic_gradient.SGDClassifier",
        "sklearn.svm._classes.LinearSVC",
        "sklearn.svm._classes.NuSVC",
        "sklearn.svm._classes.SVC",
        # Naive Bayes and the like
        "sklearn.dummy.DummyClassifier",
        "sklearn.naive_bayes.BernoulliNB",
        "sklearn.naive_bayes.CategoricalNB",
        "sklearn.naive_bayes.ComplementNB",
        "sklearn.naive_bayes.GaussianNB",
        "sklearn.naive_bayes.MultinomialNB",
        # Neighbours
        "sklearn.metrics._dist_metrics.ChebyshevDistance64",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._classification.KNeighborsClassifier",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._nearest_centroid.NearestCentroid",
        "sklearn.neighbors._unsupervised.NearestNeighbors",
        "sklearn.semi_supervised._label_propagation.LabelPropagation",
        "sklearn.semi_supervised._label_propagation.LabelSpreading",
        # Neural networks
        "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        # Trees and their ensembles
        "sklearn.ensemble._forest.ExtraTreesClassifier",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._gb.GradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
        "sklearn.tree._classes.ExtraTreeClassifier",
        "sklearn._loss.link.HalfLogitLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.ExponentialLoss",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",  # as skops before 0.14 wrote it, without a state
        # Gaussian processes
        "sklearn.gaussian_process._gpc.GaussianProcessClassifier",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        *(
            f"sklearn.gaussian_process.kernels.{name}"
            for name in (
                *("CompoundKernel", "ConstantKernel", "DotProduct", "Exponentiation", "Matern"),
                *("Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel"),
            )
        ),
        # Estimators made of others
        "sklearn.calibration.CalibratedClassifierCV",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.ensemble._bagging.BaggingClassifier",
        "sklearn.ensemble._stacking.StackingClassifier",
        "sklearn.ensemble._voting.VotingClassifier",
        "sklearn.ensemble._weight_boosting.AdaBoostClassifier",
        "sklearn.isotonic.IsotonicRegression",
        "sklearn.model_selection._classification_threshold.FixedThresholdClassifier",
        "sklearn.model_selection._classification_threshold.TunedThresholdClassifierCV",
        "sklearn.multiclass.OneVsOneClassifier",
        "sklearn.multiclass.OneVsRestClassifier",
        "sklearn.multiclass.OutputCodeClassifier",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.multioutput.ClassifierChain",
        "sklearn.multioutput.MultiOutputClassifier",
        "sklearn.pipeline.FeatureUnion",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.preprocessing._label.MultiLabelBinarizer",
        "sklearn.semi_supervised._self_training.SelfTrainingClassifier",
        # What comes before a classifier in a pipeline, and changes no embedding's size beyond what it has learned
        "sklearn.decomposition._incremental_pca.IncrementalPCA",
        "sklearn.decomposition._pca.PCA",
        "sklearn.decomposition._truncated_svd.TruncatedSVD",
        "sklearn.kernel_approximation.Nystroem",
        "sklearn.kernel_approximation.RBFSampler",
        "sklearn.neighbors._nca.NeighborhoodComponentsAnalysis",
        "sklearn.preprocessing._data.MaxAbsScaler",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.Normalizer",
        "sklearn.preprocessing._data.PowerTransformer",
        "sklearn.preprocessing._data.QuantileTransformer",
        "sklearn.preprocessing._data.RobustScaler",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.random_projection.GaussianRandomProjection",
    }
)
#: Of these, what isn't built from a dict of attributes but from a tuple, by compiled code.
FROM_TUPLES: Final = frozenset(
    name for name in OBJECTS if name.endswith(("Distance64", "_ball_tree.BallTree", "_kd_tree.KDTree"))
)

"""Pickles are read as data: what joblib and pickle write comes back, and nothing else gets in."""

import io
import pickle
import struct
import zlib
from collections import OrderedDict
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from setfit_core.errors import ModelFormatError, UntrustedTypesError
from setfit_core.persistence.setfit.pickled import Record, Tensor, read_pickle

FOLDERS = Path(__file__).parent / "setfit_folders"
PROTOCOLS = (2, 3, 4, 5)


class Blind(io.BytesIO):
    """A file that doesn't know its place, so that joblib aligns nothing, as it did before 1.2."""

    def tell(self):
        raise io.UnsupportedOperation


def joblibs(value, protocol=None, file=None, **options):
    file = file or io.BytesIO()
    joblib.dump(value, file, protocol=protocol, **options)
    return file.getvalue()


WRITERS = {
    "joblib": joblibs,
    "joblib-unaligned": lambda value: joblibs(value, file=Blind()),
    **{f"joblib-{protocol}": lambda value, protocol=protocol: joblibs(value, protocol) for protocol in PROTOCOLS},
    **{f"pickle-{protocol}": lambda value, protocol=protocol: pickle.dumps(value, protocol) for protocol in PROTOCOLS},
}
ARRAYS = {
    "float64": np.arange(12.0).reshape(3, 4),
    "float32-columns-first": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "big-endian": np.arange(3, dtype=">i4"),
    "bool": np.array([True, False]),
    "text": np.array(["ä", "", "long one"]),
    "bytes": np.array([b"a", b"bc"]),
    "none-of-them": np.zeros((0, 4)),
    "one-number": np.array(3.5),
    "every-other": np.arange(10)[::2],
    "objects": np.array(["a", None, 3, 2.5, True], dtype=object),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_come_back(kind, writer):
    array = ARRAYS[kind]
    content = WRITERS[writer]({"before": 1, "array": array, "after": [array, "x"]})
    found = read_pickle(content, "head")
    assert (found["before"], found["after"][1]) == (1, "x")
    for copy in (found["array"], found["after"][0]):
        assert copy.dtype == array.dtype
        np.testing.assert_array_equal(copy, array, strict=True)


@pytest.mark.parametrize("writer", WRITERS)
def test_plain_values_come_back(writer):
    values = {
        "numbers": [0, 255, 256, 65536, -1, 2**31, -(2**63), 2**100, 1.5, float("inf")],
        "text": ["", "ä" * 300, "x" * 70_000],
        "scalars": (np.float64(2.5), np.int32(-4), np.bool_(True)),
        "nothing": [None, (), {}, [], (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "set": {1, "a"},
        "ordered": OrderedDict(b=1, a=2),
        1: True,
    }
    found = read_pickle(WRITERS[writer](values), "head")
    assert found == {**values, "scalars": (2.5, -4, True), "ordered": {"b": 1, "a": 2}}
    assert [type(value) for value in found["scalars"]] == [float, int, bool]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_come_back(dtype):
    layer = torch.nn.Linear(4, 3, dtype=dtype)
    layer.bias = torch.nn.Parameter(torch.arange(10, dtype=dtype)[4:7])
    found = read_pickle(joblibs(layer), "head")
    assert isinstance(found, Record)
    assert found.name == "torch.nn.modules.linear.Linear"
    parameters = found.state["_parameters"]
    assert all(isinstance(tensor, Tensor) and f"torch.{tensor.dtype}" == str(dtype) for tensor in parameters.values())
    bits = np.uint16 if dtype == torch.bfloat16 else parameters["weight"].values.dtype
    expected = layer.weight.detach().view(torch.int16) if dtype == torch.bfloat16 else layer.weight.detach()
    np.testing.assert_array_equal(parameters["weight"].values, expected.numpy().view(bits))
    assert parameters["bias"].values.shape == (3,)


def test_the_device_of_a_tensor_does_not_matter():
    content = joblibs(torch.nn.Linear(4, 3, bias=False))
    start = content.index(b"\x80\x02\x8a\n")  # a storage, behind the four bytes of its size
    (size,) = struct.unpack("<I", content[start - 4 : start])
    storage = content[start : start + size]
    moved = storage.replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0")
    assert len(moved) == size + 3
    content = content[: start - 4] + struct.pack("<I", size + 3) + moved + content[start + size :]
    found = read_pickle(content, "head").state["_parameters"]["weight"]
    assert found.values.shape == (4, 3)[::-1]
    for device in ("cpu", "cuda:1"):
        assert read_pickle(joblibs(torch.device(device)), "head") == device.partition(":")[0]


def test_objects_become_records():
    head = LogisticRegression(C=3.0).fit(np.eye(4), list("abab"))
    found = read_pickle(joblibs(head), "head")
    assert type(found) is Record
    assert found.name == "sklearn.linear_model._logistic.LogisticRegression"
    assert found.state["C"] == 3.0
    np.testing.assert_array_equal(found.state["coef_"], head.coef_)
    assert found.state["classes_"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (SVC(), "sklearn.svm._classes.SVC"),
        (RandomForestClassifier(), "sklearn.ensemble._forest.RandomForestClassifier"),
        (SGDClassifier(), "sklearn.linear_model._stochastic_gradient.SGDClassifier"),
        (make_pipeline(LogisticRegression()), "sklearn.pipeline.Pipeline"),
        (LogisticRegression(random_state=np.random.RandomState(0)), "numpy.random._pickle.__randomstate_ctor"),
        (len, "builtins.len"),
        (Path("/"), "pathlib.PosixPath"),
    ],
)
def test_other_names_are_refused_and_told(head, name):
    with pytest.raises(UntrustedTypesError, match="trust_pickle=True") as caught:
        read_pickle(joblibs(head), "folder/model_head.pkl")
    if name == "pathlib.PosixPath":  # its module has another name since Python 3.13
        assert caught.value.types[0].endswith("PosixPath")
    else:
        assert caught.value.types == (name,)
    assert caught.value.types[0] in str(caught.value)
    assert "folder/model_head.pkl" in str(caught.value)


@pytest.mark.parametrize("method", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_a_compressed_head_is_refused_by_its_method(method):
    with pytest.raises(ModelFormatError, match=rf"compressed with {method}\b"):
        read_pickle(joblibs(LogisticRegression(), compress=(method, 3)), "head")


def test_compression_of_old_versions_and_of_lz4_is_known():
    for content, method in ((b"ZF0x10" + zlib.compress(b"x"), "zlib"), (b'\x04"M\x18' + bytes(20), "lz4")):
        with pytest.raises(ModelFormatError, match=f"compressed with {method}"):
            read_pickle(content, "head")


def test_a_head_that_is_cut_anywhere_is_refused():
    content = (FOLDERS / "setfit-1.2.0" / "chain" / "model_head.pkl").read_bytes()
    assert isinstance(read_pickle(content, "head"), Record)
    for size in range(0, len(content), 7):
        with pytest.raises(ModelFormatError):
            read_pickle(content[:size], "head")


def test_neither_unpickler_nor_library_is_used(run_python):
    heads = [str(FOLDERS / "setfit-1.2.0" / name / "model_head.pkl") for name in ("chain", "torch", "strings")]
    found, _ = run_python(f"""
import json, sys
from pathlib import Path
events = []
sys.addaudithook(lambda event, arguments: events.append(event) if event.startswith("pickle") else None)
import pickle
def refuse(*arguments, **keywords):
    raise AssertionError("a pickle was given to an unpickler")
pickle.load = pickle.loads = pickle.Unpickler = pickle._Unpickler = refuse
from setfit_core.persistence.setfit.pickled import read_pickle
names = [read_pickle(Path(head).read_bytes(), head).name for head in {heads!r}]
used = sorted({{"joblib", "setfit", "sklearn", "torch"}} & set(sys.modules))
print(json.dumps([names, used, events]))
""")
    names = [
        "sklearn.multioutput.ClassifierChain",
        "setfit.modeling.SetFitHead",
        "sklearn.linear_model._logistic.LogisticRegression",
    ]
    assert found == [names, [], []]

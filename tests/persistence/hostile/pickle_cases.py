"""Hostile pickles where `setfit` keeps its heads."""

from __future__ import annotations

import builtins
import codecs
import copy
import copyreg
import functools
import io
import json
import operator
import os
import pathlib
import pickle
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

from hostile.bait import command, marker, statement

Case = Callable[[Path], None]

START = b"\x80\x04"
STOP = b"."


class Call:
    """Pickled, it is the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> Any:
        return self.parts


def _put(folder: Path, content: bytes) -> None:
    """Make a model folder one of setfit's, with this pickle for its head."""
    shutil.rmtree(folder / "head", ignore_errors=True)
    settings = {"labels": None, "normalize_embeddings": False}
    (folder / "config_setfit.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model_head.pkl").write_bytes(content)


def _dumped(value: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue()


def _call(function: Any, *arguments: Any) -> bytes:
    return pickle.dumps(Call(function, *arguments), protocol=4)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _name(module: str, name: str) -> bytes:
    return _text(module) + _text(name) + b"\x93"


def _calls(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls a function with strings, assembled by hand: nothing needs to be installed for it."""
    return START + _name(module, name) + b"(" + b"".join(map(_text, arguments)) + b"tR" + STOP


def _arguments(content: bytes) -> bytes:
    """What a pickle of protocol 2 does between its start and its end."""
    return content[2:-1]


def _logistic(classes: int = 3, **changes: Any) -> Any:
    rng = np.random.default_rng(0)
    head = LogisticRegression().fit(rng.normal(size=(30, 4)), np.arange(30) % classes)
    for name, value in changes.items():
        setattr(head, name, value)
    return head


def _several(wrapper: Any) -> Any:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, size=(30, 3))
    return wrapper(LogisticRegression()).fit(rng.normal(size=(30, 4)), rows)


# Names


def calls_os_system(folder: Path) -> None:
    _put(folder, _call(os.system, command(folder)))


def calls_os_system_in_an_old_protocol(folder: Path) -> None:
    _put(folder, pickle.dumps(Call(os.system, command(folder)), protocol=0))


def calls_os_system_in_protocol_2(folder: Path) -> None:
    _put(folder, pickle.dumps(Call(os.system, command(folder)), protocol=2))


def calls_eval(folder: Path) -> None:
    _put(folder, _call(builtins.eval, f"__import__('os').system({command(folder)!r})"))


def calls_exec(folder: Path) -> None:
    _put(folder, _call(builtins.exec, statement(folder)))


def calls_getattr(folder: Path) -> None:
    module = _name("importlib", "import_module") + _text("os") + b"\x85R"
    found = _name("builtins", "getattr") + module + _text("system") + b"\x86R"
    _put(folder, START + found + _text(command(folder)) + b"\x85R" + STOP)


def calls_import(folder: Path) -> None:
    (folder / "evil.py").write_text(statement(folder), encoding="utf-8")
    _put(folder, _call(__import__, "evil"))


def calls_popen(folder: Path) -> None:
    _put(folder, _call(subprocess.Popen, ["touch", str(marker(folder))]))


def calls_codecs(folder: Path) -> None:
    _put(folder, _call(codecs.open, str(marker(folder)), "w"))


def calls_operator(folder: Path) -> None:
    _put(folder, _call(operator.methodcaller("touch"), pathlib.Path(marker(folder))))


def calls_partial(folder: Path) -> None:
    _put(folder, pickle.dumps(functools.partial(os.system, command(folder)), protocol=4))


def calls_a_method_of_a_path(folder: Path) -> None:
    _put(folder, _calls("pathlib", "Path.touch", str(marker(folder))))


def calls_torch_load(folder: Path) -> None:
    (folder / "evil.pt").write_bytes(_call(os.system, command(folder)))
    _put(folder, _calls("torch.serialization", "load", str(folder / "evil.pt")))


def calls_numpy_load(folder: Path) -> None:
    np.save(folder / "evil.npy", np.array([Call(os.system, command(folder))], dtype=object), allow_pickle=True)
    _put(folder, _call(np.load, str(folder / "evil.npy"), None, True))


def calls_joblib_load(folder: Path) -> None:
    (folder / "evil.pkl").write_bytes(_call(os.system, command(folder)))
    _put(folder, _call(joblib.load, str(folder / "evil.pkl")))


def calls_a_function_of_sklearn(folder: Path) -> None:
    _put(folder, _calls("sklearn.datasets._base", "get_data_home", str(marker(folder))))


def calls_what_setfit_imports(folder: Path) -> None:
    _put(folder, _calls("setfit.modeling", "os.system", command(folder)))


def names_setfits_model(folder: Path) -> None:
    _put(folder, START + _name("setfit.modeling", "SetFitModel") + b")\x81}b" + STOP)


def dotted_name_of_numpy(folder: Path) -> None:
    _put(folder, _calls("numpy", "core.multiarray._reconstruct", "x"))


def name_split_at_another_dot(folder: Path) -> None:
    _put(folder, _calls("torch", "storage._load_from_bytes", "x"))


def name_with_a_space(folder: Path) -> None:
    _put(folder, START + b"cnumpy dtype\n\n" + b"(" + _text(command(folder)) + b"tR" + STOP)


def name_through_an_attribute_of_a_harmless_one(folder: Path) -> None:
    _put(folder, _calls("collections", "OrderedDict.__init__.__globals__", command(folder)))


def name_made_of_bytes(folder: Path) -> None:
    encoded = _name("_codecs", "encode") + _text("os") + _text("latin1") + b"\x86R"
    _put(folder, START + encoded + _text("system") + b"\x93(" + _text(command(folder)) + b"tR" + STOP)


def name_made_by_numpy(folder: Path) -> None:
    module = _arguments(pickle.dumps(np.str_("os"), protocol=2))
    _put(folder, START + module + _text("system") + b"\x93(" + _text(command(folder)) + b"tR" + STOP)


def name_as_an_endless_line(folder: Path) -> None:
    _put(folder, START + b"c" + b"a" * 50_000_000)


def name_full_of_control_characters(folder: Path) -> None:
    _put(folder, _calls("os\x1b]0;owned\x07\n" * 1000, "system", command(folder)))


# Pickles inside of the pickle


def objects_behind_an_array_of_joblib(folder: Path) -> None:
    _put(folder, _dumped(_logistic(classes_=np.array([Call(os.system, command(folder)), "b", "c"], dtype=object))))


def objects_in_a_plain_array(folder: Path) -> None:
    head = _logistic(classes_=np.array([Call(os.system, command(folder)), "b", "c"], dtype=object))
    _put(folder, pickle.dumps(head, protocol=4))


def arrays_within_arrays(folder: Path) -> None:
    inner: Any = "a"
    for _ in range(200):
        outer = np.empty(1, dtype=object)
        outer[0] = inner
        inner = outer
    _put(folder, _dumped(_logistic(classes_=inner)))


def _storage(folder: Path, content: bytes) -> None:
    part = _name("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(content)) + content + b"\x85R"
    _put(folder, START + part + STOP)


def pickle_in_a_storage(folder: Path) -> None:
    _storage(folder, pickle.dumps(Call(os.system, command(folder)), protocol=2))


def pickle_in_the_fourth_part_of_a_storage(folder: Path) -> None:
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, Call(os.system, command(folder)), ["0"]]
    _storage(folder, b"".join(pickle.dumps(part, protocol=2) for part in parts) + bytes(8))


def zip_file_in_a_storage(folder: Path) -> None:
    file = io.BytesIO()
    torch.save({"x": Call(os.system, command(folder))}, file)
    _storage(folder, file.getvalue())


def storages_within_storages(folder: Path) -> None:
    content = b"x"
    for _ in range(200):
        part = _name("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(content)) + content + b"\x85R"
        content = START + part + STOP
    _storage(folder, content)


# Instructions


def extension_registry(folder: Path) -> None:
    copyreg.add_extension("posix", "system", 240)
    _put(folder, START + b"\x82\xf0(" + _text(command(folder)) + b"tR" + STOP)


def persistent_id_as_text(folder: Path) -> None:
    _put(folder, START + b"Pposix\n" + STOP)


def persistent_id(folder: Path) -> None:
    _put(folder, START + _text("posix") + b"Q" + STOP)


def instance(folder: Path) -> None:
    _put(folder, START + b"(" + _text(command(folder)) + b"iposix\nsystem\n" + STOP)


def object_instruction(folder: Path) -> None:
    _put(folder, START + b"(cposix\nsystem\n" + _text(command(folder)) + b"o" + STOP)


def keywords_for_a_new_object(folder: Path) -> None:
    made = _name("sklearn.linear_model._logistic", "LogisticRegression") + b")}\x92"
    _put(folder, START + made + b"}b" + STOP)


def arguments_for_a_new_object(folder: Path) -> None:
    made = _name("sklearn.linear_model._logistic", "LogisticRegression") + _text("l2") + b"\x85\x81"
    _put(folder, START + made + b"}b" + STOP)


def call_of_a_class(folder: Path) -> None:
    _put(folder, _calls("sklearn.linear_model._logistic", "LogisticRegression", "l2"))


def call_of_a_string(folder: Path) -> None:
    _put(folder, START + _text("os.system") + _text(command(folder)) + b"\x85R" + STOP)


def state_for_a_name(folder: Path) -> None:
    changed = _name("_codecs", "encode") + b"}" + _text("call") + _name("builtins", "set") + b"sb"
    _put(folder, START + changed + STOP)


def state_with_slots(folder: Path) -> None:
    made = _name("sklearn.linear_model._logistic", "LogisticRegression") + b")\x81"
    _put(folder, START + made + b"N}" + _text("name") + _text("os.system") + b"s\x86b" + STOP)


def state_with_a_class(folder: Path) -> None:
    made = _name("sklearn.linear_model._logistic", "LogisticRegression") + b")\x81"
    state = b"}(" + _text("__class__") + _name("setfit.modeling", "SetFitHead") + _text("name") + _text("x") + b"u"
    _put(folder, START + made + state + b"b" + STOP)


def state_given_twice(folder: Path) -> None:
    made = _name("sklearn.linear_model._logistic", "LogisticRegression") + b")\x81"
    _put(folder, START + made + b"}b}b" + STOP)


# Bombs


def memo_at_the_highest_place(folder: Path) -> None:
    _put(folder, START + b"K\x01r" + struct.pack("<I", 2**32 - 1) + STOP)


def announced_bytes(folder: Path) -> None:
    _put(folder, START + b"\x8e" + struct.pack("<Q", 2**62) + b"x" + STOP)


def announced_bytearray(folder: Path) -> None:
    _put(folder, START + b"\x96" + struct.pack("<Q", 2**40) + b"x" + STOP)


def announced_text(folder: Path) -> None:
    _put(folder, START + b"\x8d" + struct.pack("<Q", 2**63) + b"x" + STOP)


def announced_integer(folder: Path) -> None:
    _put(folder, START + b"\x8b" + struct.pack("<I", 2**31 - 1) + b"x" + STOP)


def huge_integer(folder: Path) -> None:
    _put(folder, START + b"\x8b" + struct.pack("<I", 30_000_000) + b"\x7f" * 30_000_000 + STOP)


def announced_frame(folder: Path) -> None:
    _put(folder, START + b"\x95" + struct.pack("<Q", 2**63 - 1) + b"K\x01" + STOP)


def nested_tuples(folder: Path) -> None:
    _put(folder, START + b")" + b"\x85" * 300_000 + STOP)


def nested_lists(folder: Path) -> None:
    _put(folder, START + b"]" * 300_000 + b"a" * 299_999 + STOP)


def nested_tuple_as_a_key(folder: Path) -> None:
    _put(folder, START + b"})" + b"\x85" * 300_000 + b"Ns" + STOP)


def laughs_as_a_key(folder: Path) -> None:
    _put(folder, START + b"})" + b"q\x00h\x00\x86" * 200 + b"Ns" + STOP)


def laughs_as_a_setting(folder: Path) -> None:
    laughs: Any = ["ha"]
    for _ in range(200):
        laughs = [laughs, laughs]
    _put(folder, _dumped(_logistic(class_weight=laughs)))


def laughs_as_the_head(folder: Path) -> None:
    laughs: Any = ("ha",)
    for _ in range(200):
        laughs = (laughs, laughs)
    _put(folder, _dumped(laughs))


def setting_that_holds_itself(folder: Path) -> None:
    weights: dict[Any, Any] = {}
    weights[0] = weights
    _put(folder, _dumped(_logistic(class_weight=weights)))


def head_that_holds_itself(folder: Path) -> None:
    head = _several(MultiOutputClassifier)
    head.estimators_ = [head]
    _put(folder, _dumped(head))


def list_that_holds_itself(folder: Path) -> None:
    head = _several(MultiOutputClassifier)
    head.estimators_ = []
    head.estimators_.append(head.estimators_)
    _put(folder, _dumped(head))


def one_estimator_a_million_times(folder: Path) -> None:
    head = _several(MultiOutputClassifier)
    head.estimators_ = head.estimators_[:1] * 300_000
    _put(folder, _dumped(head))


def one_array_in_every_estimator(folder: Path) -> None:
    head = _several(MultiOutputClassifier)
    coef = np.zeros((1, 1_000_000))
    one = _logistic(2, coef_=coef, n_features_in_=1_000_000)
    head.estimators_ = [copy.copy(one) for _ in range(500)]
    _put(folder, pickle.dumps(head, protocol=4))  # unlike joblib, pickle writes a shared array once


def endless_instructions(folder: Path) -> None:
    _put(folder, START + b"(" + b"\x8f" * 20_000_000 + b"t" + STOP)


def copies_of_one_text(folder: Path) -> None:
    text = _text("a" * 20_000_000) + b"q\x00"
    encode = _name("_codecs", "encode") + b"q\x01"
    once = b"h\x01h\x00" + _text("latin1") + b"\x86R"
    _put(folder, START + text + encode + b"(" + once * 5000 + b"t" + STOP)


def compressed(folder: Path) -> None:
    _put(folder, zlib.compress(bytes(300_000_000)))


def file_beyond_all_measure(folder: Path) -> None:
    _put(folder, START)
    with (folder / "model_head.pkl").open("r+b") as file:
        file.truncate(50 * 2**30)


# Files that are none


def head_is_a_folder(folder: Path) -> None:
    _put(folder, b"")
    (folder / "model_head.pkl").unlink()
    (folder / "model_head.pkl").mkdir()


def head_is_a_pipe(folder: Path) -> None:
    _put(folder, b"")
    (folder / "model_head.pkl").unlink()
    os.mkfifo(folder / "model_head.pkl")


def head_is_an_endless_device(folder: Path) -> None:
    _put(folder, b"")
    (folder / "model_head.pkl").unlink()
    (folder / "model_head.pkl").symlink_to("/dev/zero")


def head_is_empty(folder: Path) -> None:
    _put(folder, b"")


def head_is_cut_in_an_array(folder: Path) -> None:
    _put(folder, _dumped(_logistic())[:-120])


def head_is_cut_before_its_end(folder: Path) -> None:
    _put(folder, _dumped(_logistic())[:-1])


# Numbers that don't fit together


def _with_shape(folder: Path, shape: tuple[int, ...], dtype: str = "f8") -> None:
    """An array of joblib's with a false shape; strings of protocol 2 need no memo."""
    element = _name("numpy", "dtype") + _text(dtype) + b"\x89\x88\x87R"
    lengths = b"(" + b"".join(_arguments(pickle.dumps(length, protocol=2)) for length in shape) + b"t"
    state = (
        (_text("subclass") + _name("numpy", "ndarray"))
        + (_text("shape") + lengths)
        + (_text("order") + _text("C"))
        + (_text("dtype") + element)
        + (_text("allow_mmap") + b"\x88")
    )
    made = _name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}(" + state + b"ub"
    _put(folder, START + made + bytes(64) + STOP)


def array_of_a_terabyte(folder: Path) -> None:
    _with_shape(folder, (2**37,))


def array_whose_size_overflows(folder: Path) -> None:
    _with_shape(folder, (2**32, 2**32))


def array_of_negative_length(folder: Path) -> None:
    _with_shape(folder, (-8,))


def array_of_endless_strings(folder: Path) -> None:
    _with_shape(folder, (1,), "U2000000000")


def array_of_many_dimensions(folder: Path) -> None:
    _with_shape(folder, (1,) * 100_000)


def array_of_records(folder: Path) -> None:
    _with_shape(folder, (8,), "V8")


def weights_not_finite(folder: Path) -> None:
    _put(folder, _dumped(_logistic(coef_=np.full((3, 4), np.nan))))


def intercept_infinite(folder: Path) -> None:
    _put(folder, _dumped(_logistic(intercept_=np.array([0.0, np.inf, 0.0]))))


def weights_of_another_shape(folder: Path) -> None:
    _put(folder, _dumped(_logistic(coef_=np.zeros((2, 4)))))


def weights_of_integers(folder: Path) -> None:
    _put(folder, _dumped(_logistic(coef_=np.zeros((3, 4), dtype=int))))


def weights_missing(folder: Path) -> None:
    _put(folder, _dumped(_logistic(coef_=None)))


def size_of_another_embedding(folder: Path) -> None:
    _put(folder, _dumped(_logistic(n_features_in_=5)))


def classes_not_sorted(folder: Path) -> None:
    _put(folder, _dumped(_logistic(classes_=np.array([2, 0, 1]))))


def classes_twice(folder: Path) -> None:
    _put(folder, _dumped(_logistic(classes_=np.array([0, 0, 1]))))


def classes_that_are_no_text(folder: Path) -> None:
    _put(folder, _dumped(_logistic(classes_=np.array([1, 0x7FFFFFFF, 0x7FFFFFFE], dtype="<u4").view("<U1"))))


def classes_beyond_all_measure(folder: Path) -> None:
    _put(folder, _dumped(_logistic(classes_=np.arange(12_000_000, dtype="<u4"), coef_=np.zeros((12_000_000, 1)))))


def classes_one_against_the_rest(folder: Path) -> None:
    many = {"classes_": np.arange(90_000), "coef_": np.zeros((90_000, 1)), "intercept_": np.zeros(90_000)}
    _put(folder, _dumped(_logistic(multi_class="ovr", n_features_in_=1, **many)))


def classes_as_wide_as_the_widest(folder: Path) -> None:
    names = ["a" * 1_000_000, *(f"b{number:05}" for number in range(400))]
    _put(folder, _dumped(_logistic(classes_=np.array(names, dtype=object))))


def one_class(folder: Path) -> None:
    _put(folder, _dumped(_logistic(2, classes_=np.array([0]))))


def order_of_labels_beyond_them(folder: Path) -> None:
    head = _several(ClassifierChain)
    head.order_ = np.array([0, 1, 2**40])
    _put(folder, _dumped(head))


def fewer_estimators_than_labels(folder: Path) -> None:
    head = _several(OneVsRestClassifier)
    head.estimators_ = head.estimators_[:2]
    _put(folder, _dumped(head))


def estimators_of_other_sizes(folder: Path) -> None:
    head = _several(MultiOutputClassifier)
    head.estimators_[1] = LogisticRegression().fit(np.random.default_rng(0).normal(size=(10, 7)), [0, 1] * 5)
    _put(folder, _dumped(head))


def estimators_of_three_classes(folder: Path) -> None:
    head = _several(MultiOutputClassifier)
    head.estimators_[1] = _logistic(3)
    _put(folder, _dumped(head))


# Torch heads


def _linear(change: Callable[[torch.nn.Linear], object] = bool, **changes: Any) -> bytes:
    layer = torch.nn.Linear(4, 3)
    change(layer)
    state = {
        **torch.nn.Module().__dict__,
        "_modules": {"linear": layer},
        "temperature": 1.0,
        "eps": 1e-5,
        "multitarget": False,
        **changes,
    }
    made = b"csetfit.modeling\nSetFitHead\n)\x81" + pickle.dumps(state, protocol=3)[2:-1] + b"b"
    return b"\x80\x03" + made + STOP


def _layer_with(weight: Any) -> Callable[[torch.nn.Linear], object]:
    return lambda layer: setattr(layer, "weight", torch.nn.Parameter(weight))


def storage_of_a_terabyte(folder: Path) -> None:
    (content,) = torch.zeros(12).storage().__reduce__()[1]
    described = content.replace(b"K\x0cN", b"\x8a\x06" + (2**40).to_bytes(6, "little") + b"N")
    _storage(folder, described.replace(struct.pack("<q", 12), struct.pack("<q", 2**40)))


def storage_of_another_length_than_described(folder: Path) -> None:
    (content,) = torch.zeros(12).storage().__reduce__()[1]
    _storage(folder, content.replace(struct.pack("<q", 12), struct.pack("<q", 13)) + bytes(4))


def tensor_beyond_its_storage(folder: Path) -> None:
    content = _linear()
    assert content.count(b"K\x00K\x03K\x04\x86") == 1
    _put(folder, content.replace(b"K\x00K\x03K\x04\x86", b"K\xffK\x03K\x04\x86"))


def tensor_expanded_to_a_terabyte(folder: Path) -> None:
    _put(folder, _linear(_layer_with(torch.zeros(1, 1).expand(2**20, 2**20))))


def tensor_of_whole_numbers(folder: Path) -> None:
    content = _linear()
    _put(folder, content.replace(b"FloatStorage", b"IntStorage"))


def tensor_not_finite(folder: Path) -> None:
    _put(folder, _linear(_layer_with(torch.full((3, 4), torch.inf))))


def tensor_of_outputs_beyond_all_measure(folder: Path) -> None:
    _put(folder, _linear(lambda layer: layer.__init__(1, 30_000_000, bias=False)))  # type: ignore[misc]  # a new one


def tensor_of_another_shape(folder: Path) -> None:
    _put(folder, _linear(_layer_with(torch.zeros(7, 4))))


def tensor_with_a_hook(folder: Path) -> None:
    def change(layer: torch.nn.Linear) -> None:
        layer.register_forward_hook(os.system)  # type: ignore[arg-type]  # what an attacker would do

    _put(folder, _linear(change))


def temperature_of_zero(folder: Path) -> None:
    _put(folder, _linear(temperature=0.0, eps=0.0))


def temperature_of_nan(folder: Path) -> None:
    _put(folder, _linear(temperature=float("nan")))


def head_for_other_embeddings(folder: Path) -> None:
    _put(folder, _linear())


CASES: tuple[Case, ...] = (
    calls_os_system,
    calls_os_system_in_an_old_protocol,
    calls_os_system_in_protocol_2,
    calls_eval,
    calls_exec,
    calls_getattr,
    calls_import,
    calls_popen,
    calls_codecs,
    calls_operator,
    calls_partial,
    calls_a_method_of_a_path,
    calls_torch_load,
    calls_numpy_load,
    calls_joblib_load,
    calls_a_function_of_sklearn,
    calls_what_setfit_imports,
    names_setfits_model,
    dotted_name_of_numpy,
    name_split_at_another_dot,
    name_with_a_space,
    name_through_an_attribute_of_a_harmless_one,
    name_made_of_bytes,
    name_made_by_numpy,
    name_as_an_endless_line,
    name_full_of_control_characters,
    objects_behind_an_array_of_joblib,
    objects_in_a_plain_array,
    arrays_within_arrays,
    pickle_in_a_storage,
    pickle_in_the_fourth_part_of_a_storage,
    zip_file_in_a_storage,
    storages_within_storages,
    extension_registry,
    persistent_id_as_text,
    persistent_id,
    instance,
    object_instruction,
    keywords_for_a_new_object,
    arguments_for_a_new_object,
    call_of_a_class,
    call_of_a_string,
    state_for_a_name,
    state_with_slots,
    state_with_a_class,
    state_given_twice,
    memo_at_the_highest_place,
    announced_bytes,
    announced_bytearray,
    announced_text,
    announced_integer,
    huge_integer,
    announced_frame,
    nested_tuples,
    nested_lists,
    nested_tuple_as_a_key,
    laughs_as_a_key,
    laughs_as_a_setting,
    laughs_as_the_head,
    setting_that_holds_itself,
    head_that_holds_itself,
    list_that_holds_itself,
    one_estimator_a_million_times,
    one_array_in_every_estimator,
    endless_instructions,
    copies_of_one_text,
    compressed,
    file_beyond_all_measure,
    head_is_a_folder,
    head_is_a_pipe,
    head_is_an_endless_device,
    head_is_empty,
    head_is_cut_in_an_array,
    head_is_cut_before_its_end,
    array_of_a_terabyte,
    array_whose_size_overflows,
    array_of_negative_length,
    array_of_endless_strings,
    array_of_many_dimensions,
    array_of_records,
    weights_not_finite,
    intercept_infinite,
    weights_of_another_shape,
    weights_of_integers,
    weights_missing,
    size_of_another_embedding,
    classes_not_sorted,
    classes_twice,
    classes_that_are_no_text,
    classes_beyond_all_measure,
    classes_one_against_the_rest,
    classes_as_wide_as_the_widest,
    one_class,
    order_of_labels_beyond_them,
    fewer_estimators_than_labels,
    estimators_of_other_sizes,
    estimators_of_three_classes,
    storage_of_a_terabyte,
    storage_of_another_length_than_described,
    tensor_beyond_its_storage,
    tensor_expanded_to_a_terabyte,
    tensor_of_whole_numbers,
    tensor_not_finite,
    tensor_of_outputs_beyond_all_measure,
    tensor_of_another_shape,
    tensor_with_a_hook,
    temperature_of_zero,
    temperature_of_nan,
    head_for_other_embeddings,
)

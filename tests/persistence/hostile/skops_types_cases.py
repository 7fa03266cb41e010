"""Hostile skops files: types that do something when they are built, or looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hostile.bait import command, marker
from hostile.skops_maker import add, attributes_of, container, good, numbers, pickled, plain

# Types that do something


def _holds(folder: Path, value: dict[str, Any]) -> None:
    file = good(folder)
    attributes_of(file.schema)["coef_"] = {"__id__": next(numbers), **value}
    file.save(folder)


def _called(module: str, name: str, folder: Path, arguments: list[Any]) -> None:
    items = [
        container("list", [plain(word) for word in argument]) if isinstance(argument, list) else plain(argument)
        for argument in arguments
    ]
    built = container("tuple", items)
    _holds(
        folder, {"__module__": module, "__class__": name, "__loader__": "ConstructorFromReduceNode", "content": built}
    )


def calls_os_system(folder: Path) -> None:
    _called("os", "system", folder, [command(folder)])


def calls_eval(folder: Path) -> None:
    _called("builtins", "eval", folder, [f"open({str(marker(folder))!r}, 'w')"])


def calls_exec_of_a_code_object(folder: Path) -> None:
    _called("types", "CodeType", folder, [0] * 16)


def calls_popen(folder: Path) -> None:
    _called("subprocess", "Popen", folder, [["touch", str(marker(folder))]])


def calls_numpy_load(folder: Path) -> None:
    _called("numpy", "load", folder, [str(pickled(folder)), None, True])


def calls_joblib_load(folder: Path) -> None:
    _called("joblib", "load", folder, [str(pickled(folder))])


def calls_memmap(folder: Path) -> None:
    _called("numpy", "memmap", folder, [str(marker(folder)), "uint8", "w+", 0, 1])


def is_a_function(folder: Path) -> None:
    _holds(folder, {"__module__": "os", "__class__": "system", "__loader__": "FunctionNode"})


def is_a_ufunc(folder: Path) -> None:
    _holds(folder, {"__module__": "numpy", "__class__": "frompyfunc", "__loader__": "FunctionNode"})


def is_a_function_of_scikit_learn(folder: Path) -> None:
    name = {"__module__": "sklearn.datasets._base", "__class__": "load_files", "__loader__": "FunctionNode"}
    _holds(folder, name)


def is_a_type_that_imports(folder: Path) -> None:
    (folder / "evil.py").write_text(f"import os; os.system({command(folder)!r})", encoding="utf-8")
    _holds(folder, {"__module__": "evil", "__class__": "Evil", "__loader__": "TypeNode"})


def is_an_object_of_a_module_in_the_way(folder: Path) -> None:
    (folder / "_loss.py").write_text(f"import os; os.system({command(folder)!r})", encoding="utf-8")
    _holds(folder, {"__module__": "_loss", "__class__": "CyEvil", "__loader__": "ObjectNode"})


def is_a_partial(folder: Path) -> None:
    function = {"__module__": "os", "__class__": "system", "__loader__": "FunctionNode"}
    content = {
        "func": function,
        "args": container("tuple", [plain(command(folder))]),
        "kwds": {**container("dict", []), "content": {}, "key_types": container("list", [])},
        "namespace": plain(None),
    }
    _holds(folder, {"__module__": "functools", "__class__": "partial", "__loader__": "PartialNode", "content": content})


def is_a_methodcaller(folder: Path) -> None:
    arguments = container("tuple", [plain("system"), plain(command(folder))])
    name = {"__module__": "operator", "__class__": "methodcaller", "__loader__": "OperatorFuncNode"}
    _holds(folder, {**name, "attrs": arguments})


def is_a_method(folder: Path) -> None:
    file = good(folder)
    link = {"__module__": "sklearn._loss.link", "__class__": "LogitLink"}
    content = {"func": "inverse", "obj": {**link, "__loader__": "ObjectNode", "__id__": next(numbers)}}
    add(file.schema, "hook", {**link, "__loader__": "MethodNode", "content": content, "__id__": next(numbers)})
    file.save(folder)


def is_a_default_dict_that_calls(folder: Path) -> None:
    function = {"__module__": "os", "__class__": "getcwd", "__loader__": "FunctionNode", "__id__": next(numbers)}
    main = {**container("dict", []), "content": {}, "key_types": container("list", [])}
    name = {"__module__": "collections", "__class__": "defaultdict", "__loader__": "DefaultDictNode"}
    _holds(folder, {**name, "content": {"main": main, "default_factory": function}})


def is_a_function_transformer(folder: Path) -> None:
    name = {"__module__": "sklearn.preprocessing._function_transformer", "__class__": "FunctionTransformer"}
    _holds(folder, {**name, "__loader__": "ObjectNode"})


def is_of_an_unknown_loader(folder: Path) -> None:
    _holds(folder, {"__module__": "os", "__class__": "system", "__loader__": "PickleNode", "content": command(folder)})


def is_of_an_old_protocol(folder: Path) -> None:
    file = good(folder)
    file.schema["protocol"] = 0
    content = {"module_path": "os", "function": "system"}
    attributes_of(file.schema)["coef_"] = {
        "__module__": "numpy",
        "__class__": "tanh",
        "__loader__": "FunctionNode",
        "content": content,
    }
    file.save(folder)


def has_keys_of_a_type_that_is_called(folder: Path) -> None:
    file = good(folder)
    file.schema["content"]["key_types"]["content"][0].update(__module__="os", __class__="system")
    file.save(folder)


def has_keys_that_are_called_by_number(folder: Path) -> None:
    file = good(folder)
    link = {"__module__": "sklearn._loss.link", "__class__": "LogitLink", "__loader__": "ObjectNode"}
    attributes = attributes_of(file.schema)
    attributes["C"] = container("list", [{**link, "__id__": next(numbers)}])
    kinds = container("list", file.schema["content"]["key_types"]["content"][:1])
    kinds["__id__"] = attributes["C"]["__id__"]
    attributes["coef_"] = {**container("dict", []), "content": {"key": plain(1)}, "key_types": kinds}
    file.save(folder)


def has_two_objects_of_one_number(folder: Path) -> None:
    file = good(folder)
    attributes = attributes_of(file.schema)
    attributes["intercept_"]["__id__"] = attributes["C"]["__id__"]
    file.save(folder)


def holds_itself(folder: Path) -> None:
    file = good(folder)
    file.schema["__id__"] = 7
    attributes_of(file.schema)["coef_"] = {
        key: file.schema[key] for key in ("__class__", "__module__", "__loader__")
    } | {"__id__": 7}
    file.save(folder)


def refers_to_what_was_never_built(folder: Path) -> None:
    _holds(folder, {"__module__": "builtins", "__class__": "list", "__loader__": "CachedNode", "__id__": 99})


def brings_its_own_method(folder: Path) -> None:
    file = good(folder)
    add(file.schema, "decision_function", container("list", []))
    file.save(folder)


CASES = (
    calls_os_system,
    calls_eval,
    calls_exec_of_a_code_object,
    calls_popen,
    calls_numpy_load,
    calls_joblib_load,
    calls_memmap,
    is_a_function,
    is_a_ufunc,
    is_a_function_of_scikit_learn,
    is_a_type_that_imports,
    is_an_object_of_a_module_in_the_way,
    is_a_partial,
    is_a_methodcaller,
    is_a_method,
    is_a_default_dict_that_calls,
    is_a_function_transformer,
    is_of_an_unknown_loader,
    is_of_an_old_protocol,
    has_keys_of_a_type_that_is_called,
    has_keys_that_are_called_by_number,
    has_two_objects_of_one_number,
    holds_itself,
    refers_to_what_was_never_built,
    brings_its_own_method,
)

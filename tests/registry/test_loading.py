"""Loading one head: what it may be, and how the ways it can break stay its own (rows 4, 5, 24, 26)."""

from __future__ import annotations

import pytest

#: For each broken head the error, its cause, and what the message has to say.
BREAKAGES = {
    "syntax": ("BrokenHeadError", "SyntaxError", ["fx_syntax.py"]),
    "runtime": ("BrokenHeadError", "RuntimeError", ["the plugin is unwell"]),
    "exit": ("BrokenHeadError", "SystemExit", ["SystemExit: 7"]),
    "base": ("BrokenHeadError", "Odd", ["Odd: odd"]),
    "dependency": (
        "BrokenHeadError",
        "ModuleNotFoundError",
        ["'fx_no_such_module' is missing", 'pip install "fx-no-such-distribution>=3"'],
    ),
    "dependency-undeclared": (
        "BrokenHeadError",
        "ModuleNotFoundError",
        ["'fx_no_such_module' is missing", "Install the distribution that brings it"],
    ),
    "import-name": ("BrokenHeadError", "ImportError", ["no_such_name"]),
    "missing-module": ("BrokenHeadError", "ModuleNotFoundError", ["has no module 'fx_not_in_the_wheel'"]),
    "attribute": ("BrokenHeadError", "AttributeError", ["no usable attribute 'Haed'"]),
    "lazy-attribute": ("BrokenHeadError", "OSError", ["no such file"]),
    "unprintable": ("BrokenHeadError", "E", ["raised E."]),
    "shape": ("NonConformingHeadError", "NonConformingHeadError", ["`fit`", "`predict`", "`predict_proba`"]),
    "capability": ("NonConformingHeadError", "NonConformingHeadError", ["'multilabel'", "'multi_label'"]),
    "api-of-class": ("IncompatibleHeadError", "IncompatibleHeadError", ["99"]),
    "built": ("NonConformingHeadError", None, ["built already", "fx_built.Head"]),
    "built-callable": ("NonConformingHeadError", None, ["built already"]),
    "number": ("BrokenHeadError", None, ["builtins.int", "setfit_head_factory"]),
    "hookless": ("BrokenHeadError", None, ["no function of that name", "setfit_head_factory"]),
    "unmarked": ("BrokenHeadError", None, ["lacks that marker", "pluggy.HookimplMarker('setfit')"]),
    "unknown-hook": (
        "BrokenHeadError",
        None,
        ["unknown hook 'setfit_head_factroy'", "Was 'setfit_head_factory' meant?"],
    ),
    "hook-argument": ("BrokenHeadError", "PluginValidationError", ["colour"]),
    "hook-method": ("BrokenHeadError", None, ["'setfit_save_head'", "static method"]),
    "factory-none": ("BrokenHeadError", None, ["returned None"]),
    "factory-raises": ("BrokenHeadError", "SystemExit", ["setfit_head_factory raised SystemExit"]),
    "factory-shape": ("NonConformingHeadError", "NonConformingHeadError", ["`fit`"]),
    "hostile": ("BrokenHeadError", "RuntimeError", ["no dir for you"]),
}


@pytest.fixture(scope="module")
def look_ups():
    """Filled by the first test that asks: what each look-up of a broken head said, all in one process."""
    return {}


@pytest.fixture
def broken(look_ups, child, site):
    if not look_ups:
        look_ups.update(
            child(
                """
                found = {}
                for info in list_heads():
                    if info.distribution != "fx-alpha":
                        found[info.name] = attempt(get_head, info.name)
                manager = default_registry().plugin_manager
                left_over = [name for name, _ in manager.list_name_plugin()]
                emit(found=found, left_over=left_over, alpha=attempt(get_head, "alpha"), heads=len(list_heads()))
                """,
                site("broken"),
                site("good"),
            ).out
        )
    return look_ups


@pytest.mark.parametrize("name", BREAKAGES)
def test_row_04_a_broken_head_raises_its_own_error_with_the_cause_chained(broken, name):
    error, cause, texts = BREAKAGES[name]
    found = broken["found"][name]

    assert (found["error"], found["cause"]) == (error, cause)
    assert f"fx-{name}" in found["text"]
    for text in texts:
        assert text in found["text"]


def test_row_04_other_heads_and_the_listing_survive_every_breakage(broken):
    assert broken["alpha"]["error"] is None
    assert broken["heads"] == len(broken["found"]) + 7
    assert {"module", "object", "object-twin", "class"} == {
        name for name, found in broken["found"].items() if found["error"] is None
    }
    # Nothing of a head that failed stays behind in the plugin manager.
    assert sorted(broken["left_over"]) == [
        "fx-hooks:class",
        "fx-hooks:module",
        "fx-hooks:object",
        "fx-hooks:object-twin",
    ]


def test_row_05_a_plugin_that_exits_at_import_does_not_end_the_process(child, site):
    out = child('emit(found=attempt(get_head, "exit"))', site("broken")).out

    assert out["found"]["error"] == "BrokenHeadError"
    assert out["found"]["cause"] == "SystemExit"


@pytest.mark.parametrize("name", ["interrupt", "memory"])
def test_an_interruption_and_a_lack_of_memory_are_not_the_plugins_fault(broken, name):
    assert broken["found"][name]["error"] == {"interrupt": "KeyboardInterrupt", "memory": "MemoryError"}[name]


def test_a_failure_is_not_remembered(child, site):
    out = child(
        """
        import os
        first = attempt(get_head, "flaky")
        os.environ["FX_WELL"] = "1"
        emit(first=first, second=attempt(get_head, "flaky"))
        """,
        site("broken"),
    ).out

    assert out["first"]["error"] == "BrokenHeadError"
    assert out["second"]["error"] is None


def test_advice_on_missing_requirements_leaves_out_what_is_there_or_not_meant(broken):
    text = broken["found"]["dependency"]["text"]

    assert "pluggy" not in text
    assert "fx-other-system" not in text


def test_the_kinds_of_target_that_build_a_head(child, site):
    out = child(
        """
        built = {}
        for name in ["alpha", "alpha-again", "alpha.made", "alpha.partial", "alpha.callable", "alpha_nested",
                     "module", "object", "object-twin", "class"]:
            loaded = get_head(name)
            head = loaded.factory(size=3)
            built[name] = [type(head).__name__, head.params, loaded.info.qualified_name]
        manager = default_registry().plugin_manager
        emit(built=built, executed=executed, plain=attempt(get_head("no-probabilities").factory),
             held=[manager.has_plugin(built[name][2]) for name in built], again=get_head("alpha") is get_head("alpha"))
        """,
        site("good"),
    ).out

    assert {name: built[:2] for name, built in out["built"].items()} == {
        "alpha": ["Head", {"size": 3}],
        "alpha-again": ["Head", {"size": 3}],
        "alpha.made": ["Head", {"made": True, "size": 3}],
        "alpha.partial": ["Head", {"made": True, "partial": True, "size": 3}],
        "alpha.callable": ["Head", {"made": True, "maker": True, "size": 3}],
        "alpha_nested": ["Head", {"size": 3}],
        "module": ["Head", {"size": 3}],
        "object": ["Head", {"size": 3}],
        "object-twin": ["Head", {"size": 3}],
        "class": ["WithHooks", {"size": 3}],
    }
    assert out["plain"]["error"] is None
    assert all(out["held"])
    assert out["again"] is True
    assert sorted(out["executed"]) == ["fx_alpha", "fx_hooks"]


def test_asking_for_one_head_loads_that_one_alone(child, site):
    out = child('get_head("alpha"); emit(executed=executed)', site("good"), site("broken"), site("versions")).out

    assert out["executed"] == ["fx_alpha"]


def test_a_head_sees_its_own_hooks_and_the_cores_and_no_others(child, site):
    out = child(
        """
        import pluggy
        from types import SimpleNamespace

        class Core:
            @staticmethod
            @pluggy.HookimplMarker("setfit")(trylast=True)
            def setfit_save_head(head):
                return {"format": "core"}

        registry = default_registry()
        registry.plugin_manager.register(Core, name="setfit_core.test_format")
        kept = registry.hooks("fx-alpha:alpha")
        saved = {}
        for name in ["module", "object", "object-twin", "class", "alpha"]:
            saved[name] = registry.hooks(get_head(name).info.qualified_name).setfit_save_head(
                head=1, directory=".", params=None)["format"]
        no_plugin = registry.hooks(None).setfit_save_head(head=1, directory=".", params=None)["format"]
        kept_after = kept.setfit_save_head(head=1, directory=".", params=None)["format"]
        loaders = registry.hooks(None).setfit_load_head(directory=".", metadata={}, factory=None, device="cpu")
        emit(saved=saved, no_plugin=no_plugin, kept=kept_after, loaders=loaders,
             unknown=attempt(registry.hooks, "fx-alpha:nothing"))
        """,
        site("good"),
    ).out

    assert out["saved"] == {
        "module": "module",
        "object": "object at plugin",
        "object-twin": "object at twin",
        "class": "class",
        "alpha": "core",
    }
    assert out["no_plugin"] == out["kept"] == "core"
    assert out["loaders"] is None
    assert out["unknown"]["error"] == "UnknownHeadError"


def test_asking_for_the_hooks_of_a_head_loads_it(child, site):
    out = child(
        """
        saved = default_registry().hooks("Fx.Hooks:module").setfit_save_head(head=1, directory=".", params=None)
        emit(saved=saved, executed=executed)
        """,
        site("good"),
    ).out

    assert out["saved"] == {"format": "module"}
    assert out["executed"] == ["fx_hooks"]


def test_a_class_that_could_be_either_kind_of_head(child, site):
    out = child(
        """
        emit(ambiguous=attempt(get_head, "ambiguous"), clear=attempt(get_head, "clear"))
        """,
        site("torch"),
        everything=True,
    ).out

    assert out["ambiguous"]["error"] == "AmbiguousHeadError"
    assert "fx-ambiguous:ambiguous" in out["ambiguous"]["text"]
    assert out["clear"]["error"] is None


def test_row_24_the_first_look_up_of_32_threads_scans_once_and_loads_once(child, site):
    out = child(
        """
        import threading

        class Counter:
            scans = 0
            def find_spec(self, *args): return None
            def find_distributions(self, context):
                Counter.scans += context.name is None
                return ()

        sys.meta_path.append(Counter())
        barrier = threading.Barrier(32)
        results, errors = [], []

        def look_up(number):
            barrier.wait()
            try:
                results.append(get_head("module" if number % 2 else "fx-hooks:module"))
            except BaseException as error:
                errors.append(repr(error))

        threads = [threading.Thread(target=look_up, args=(number,)) for number in range(32)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        import fx_hooks
        emit(errors=errors, results=len(results), distinct=len(set(map(id, results))), calls=fx_hooks.calls,
             scans=Counter.scans)
        """,
        site("good"),
    ).out

    assert out["errors"] == []
    assert out["results"] == 32
    assert out["distinct"] == 1
    assert out["calls"] == ["setfit_head_factory"]
    assert out["scans"] == 1


def test_a_head_that_is_slow_to_load_holds_up_no_other(child, site):
    out = child(
        """
        import threading
        import fx_hooks, pluggy

        entered, release = threading.Event(), threading.Event()

        @pluggy.HookimplMarker("setfit")
        def setfit_head_factory():
            entered.set()
            assert release.wait(60)
            return fx_hooks.Head

        fx_hooks.setfit_head_factory = setfit_head_factory
        slow = threading.Thread(target=get_head, args=("module",))
        slow.start()
        assert entered.wait(60)
        others = []
        quick = threading.Thread(target=lambda: others.append([get_head("alpha").info.name, len(list_heads())]))
        quick.start(); quick.join(30)
        waiting = slow.is_alive()
        release.set(); slow.join(60)
        emit(others=others, waiting=waiting)
        """,
        site("good"),
    ).out

    assert out["others"] == [["alpha", 11]]
    assert out["waiting"] is True


def test_row_26_a_first_party_head_built_and_installed_by_pip_is_found_like_any_other(child, site):
    where = site("plugins")
    out = child(
        """
        import sys
        loaded = get_head("logistic")
        emit(qualified=loaded.info.qualified_name, file=sys.modules["setfit_head_logistic"].__file__,
             built=type(loaded.factory(C=0.5)).__module__)
        """,
        where,
        everything=True,
    ).out

    assert out["qualified"] == "setfit-head-logistic:logistic"
    assert out["file"].startswith(str(where))
    assert out["built"].startswith("sklearn.linear_model")


def test_row_25_an_uninstalled_first_party_head_is_missed_with_the_way_to_get_it_back(child, site, spoil):
    where = spoil(site("plugins"), "setfit-head-logistic", "RECORD", lambda data: data)
    out = child(
        """
        import shutil
        before = [info.name for info in list_heads()]
        shutil.rmtree(WHERE)
        refresh_heads()
        emit(before=before, after=list(list_heads()), lost=attempt(get_head, "logistic"),
             qualified=attempt(get_head, "setfit-head-logistic:logistic"))
        """.replace("WHERE", repr(str(where))),
        where,
    ).out

    assert out["before"] == ["logistic"]
    assert out["after"] == []
    for lost in (out["lost"], out["qualified"]):
        assert lost["error"] == "UnknownHeadError"
        assert lost["text"].endswith("pip install setfit-head-logistic")

"""Versions read before import, strict mode, tracing, and where settings come from (rows 6, 16, 23)."""

from __future__ import annotations

import pytest


def test_row_16_the_head_api_and_the_required_core_are_checked_before_import(child, site):
    out = child(
        """
        names = [info.name for info in list_heads()]
        found = {name: attempt(get_head, name) for name in names}
        emit(found=found, status={info.name: info.status for info in list_heads()},
             api={info.name: info.api for info in list_heads()}, executed=executed)
        """,
        site("versions"),
    ).out
    found = out["found"]

    bad = {"needs-newer", "api-99", "api-word"}
    assert {name for name in found if found[name]["error"] == "IncompatibleHeadError"} == bad
    assert {name for name in found if found[name]["error"] is None} == set(found) - bad
    assert {name for name, status in out["status"].items() if status == "incompatible"} == bad
    assert not {"fx_needs_newer", "fx_api_99", "fx_api_word"} & set(out["executed"])
    assert len(out["executed"]) == len(found) - len(bad)
    assert out["api"]["api-99"] == [99]
    assert out["api"]["api-both"] == [1, 2]
    assert out["api"]["needs-this"] == [1]
    assert out["api"]["api-word"] == []

    newer = found["needs-newer"]["text"]
    assert "requires setfit-core>=9, but setfit-core 0." in newer
    assert 'pip install "setfit-core>=9"' in newer
    assert "a version of fx-needs-newer that admits" in newer
    assert "head API 99" in found["api-99"]["text"]
    assert "head API 1" in found["api-99"]["text"]
    assert "'one'" in found["api-word"]["text"]


def test_row_16_a_prerelease_of_the_core_is_admitted_and_a_later_one_may_be_refused(child, site):
    out = child(
        """
        emit(newer=attempt(get_head, "needs-newer"), this=attempt(get_head, "needs-this"))
        """,
        site("versions"),
        first="import setfit_core.version\nsetfit_core.version.__version__ = '9.1rc1'\n",
    ).out

    assert out["newer"]["error"] is None
    assert out["this"]["error"] == "IncompatibleHeadError"


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ("setfit-core>>9", "'setfit-core>>9' on setfit-core can't be read"),
        ("SetFit.Core (>=9)", "requires setfit-core>=9"),
    ],
)
def test_row_16_a_requirement_is_read_in_any_spelling_and_refused_if_it_cannot_be(
    child, site, spoil, requirement, text
):
    where = spoil(
        site("double"),
        "fx-double",
        "METADATA",
        lambda data: data.replace(b"Name: ", f"Requires-Dist: {requirement}\nName: ".encode(), 1),
    )
    out = child('emit(found=attempt(get_head, "double"))', where).out

    assert out["found"]["error"] == "IncompatibleHeadError"
    assert text in out["found"]["text"]


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("invalid-name", "BrokenHeadError", "'-dash'"),
        ("malformed", "BrokenHeadError", "'fx-malformed is no module!'"),
        ("versions", "IncompatibleHeadError", "fx-api-99"),
    ],
)
def test_row_06_strict_mode_raises_at_once(child, site, name, error, text):
    out = child(
        "emit(listed=attempt(list_heads), alpha=attempt(get_head, 'alpha'), executed=executed)",
        site("good"),
        site(name),
        SETFIT_HEADS_STRICT="1",
    ).out

    for found in (out["listed"], out["alpha"]):
        assert found["error"] == error
        assert text in found["text"]
    assert out["executed"] == []


def test_row_06_strict_mode_accepts_what_is_sound_and_what_is_switched_off(child, site):
    script = "emit(listed=attempt(list_heads), alpha=attempt(get_head, 'alpha'))"
    sites = (site("good"), site("malformed"))
    denied = child(script, *sites, SETFIT_HEADS_STRICT="1", SETFIT_HEADS_DENY="malformed").out
    lenient = child(script, *sites, SETFIT_HEADS_STRICT="0").out

    assert denied["listed"]["error"] is denied["alpha"]["error"] is None
    assert lenient["listed"]["error"] is lenient["alpha"]["error"] is None


def test_row_06_strict_mode_refuses_unreadable_metadata(child, site, spoil):
    where = spoil(site("double"), "fx-double", "entry_points.txt", lambda data: b"\xff" + data)
    out = child("emit(listed=attempt(list_heads))", where, SETFIT_HEADS_STRICT="yes").out

    assert out["listed"]["error"] == "BrokenHeadError"
    assert "UnicodeDecodeError" in out["listed"]["text"]


def test_row_23_tracing_writes_loads_and_hook_calls_to_stderr(child, site):
    script = """
        import pluggy

        class Core:
            @staticmethod
            @pluggy.HookimplMarker("setfit")(trylast=True)
            def setfit_save_head(head): return {"format": "core"}

        default_registry().plugin_manager.register(Core, name="setfit_core.test_format")
        get_head("module"); get_head("module"); get_head("alpha")
        hooks = default_registry().hooks("fx-hooks:module")
        hooks.setfit_save_head(head=1, directory=".", params=None)
        hooks.setfit_load_head(directory=".", metadata={}, factory=None, device="cpu")
        attempt(get_head, "factory-raises")
        emit()
    """
    sites = (site("good"), site("broken"))
    traced = child(script, *sites, SETFIT_HEADS_TRACE="1").err
    silent = child(script, *sites).err

    assert [line for line in traced.splitlines() if line.startswith("setfit-core: ")] == [
        "setfit-core: load fx-hooks:module (fx_hooks)",
        "setfit-core: call setfit_head_factory of fx-hooks:module",
        "setfit-core: setfit_head_factory returned type",
        "setfit-core: load fx-alpha:alpha (fx_alpha:Head)",
        "setfit-core: call setfit_save_head of fx-hooks:module, setfit_core.test_format",
        "setfit-core: setfit_save_head returned dict",
        "setfit-core: call setfit_load_head of nobody",
        "setfit-core: setfit_load_head returned NoneType",
        "setfit-core: load fx-factory-raises:factory-raises (fx_factory_raises)",
        "setfit-core: call setfit_head_factory of fx-factory-raises:factory-raises",
        "setfit-core: setfit_head_factory raised SystemExit",
    ]
    assert "setfit-core" not in silent


def test_settings_come_from_the_given_mapping_and_are_read_again_at_each_scan(child, site):
    out = child(
        """
        import contextlib, io, os
        environ = {"SETFIT_HEADS_DENY": "alpha"}
        own = HeadRegistry(environ=environ)
        os.environ["SETFIT_HEADS_DENY"] = "module"
        first = [attempt(own.get, name)["error"] for name in ("alpha", "module")]
        shared = [attempt(get_head, name)["error"] for name in ("alpha", "module")]
        del environ["SETFIT_HEADS_DENY"]; environ["SETFIT_HEADS_TRACE"] = "1"
        unchanged = attempt(own.get, "alpha")["error"]
        own.refresh()
        noise = io.StringIO()
        with contextlib.redirect_stderr(noise):
            refreshed = attempt(own.get, "alpha")["error"]
        del environ["SETFIT_HEADS_TRACE"]
        own.refresh()
        quiet = io.StringIO()
        with contextlib.redirect_stderr(quiet):
            own.hooks("fx-hooks:object").setfit_save_head(head=1, directory=".", params=None)
        emit(first=first, shared=shared, unchanged=unchanged, refreshed=refreshed, noise=noise.getvalue(),
             quiet=quiet.getvalue())
        """,
        site("good"),
    ).out

    assert out["first"] == ["DisabledHeadError", None]
    assert out["shared"] == [None, "DisabledHeadError"]
    assert out["unchanged"] == "DisabledHeadError"
    assert out["refreshed"] is None
    assert "load fx-alpha:alpha" in out["noise"]
    assert out["quiet"] == ""


def test_a_loaded_head_is_refused_once_it_is_switched_off(child, site):
    out = child(
        """
        environ = {}
        registry = HeadRegistry(environ=environ)
        registry.get("alpha")
        environ["SETFIT_HEADS_DENY"] = "alpha"
        registry.refresh()
        emit(after=attempt(registry.get, "alpha"))
        """,
        site("good"),
    ).out

    assert out["after"]["error"] == "DisabledHeadError"


def test_an_update_that_moves_the_target_loads_the_new_one(child, site, spoil):
    where = spoil(site("good"), "fx-alpha", "RECORD", lambda data: data)
    out = child(
        """
        from pathlib import Path
        import time, os
        first = get_head("alpha").factory
        (points,) = Path(WHERE).glob("fx_alpha-*/entry_points.txt")
        points.write_text(points.read_text().replace("alpha = fx_alpha:Head", "alpha = fx_alpha:make"))
        refresh_heads()
        second = get_head("alpha")
        emit(first=first.__name__, second=second.factory.__name__, target=second.info.target)
        """.replace("WHERE", repr(str(where))),
        where,
    ).out

    assert out == {"first": "Head", "second": "make", "target": "fx_alpha:make"}

"""What is found and how it is listed, without any plugin being imported (rows 1, 2, 3, 10, 11, 25)."""

from __future__ import annotations

import statistics


def test_row_01_importing_the_core_loads_no_plugin_no_torch_and_is_cheap(child, site):
    script = """
        import json, sys, time
        before = set(sys.modules)
        start = time.process_time()
        import setfit_core
        seconds = time.process_time() - start
        print(json.dumps({"seconds": seconds, "new": sorted(set(sys.modules) - before)}))
    """
    # The heads and all that is installed here could be imported, and aren't.
    runs = [child(script, site("good"), everything=True, prelude="").out for _ in range(5)]

    heavy = {"torch", "numpy", "sklearn", "pluggy", "fx_alpha", "fx_hooks", "sentence_transformers"}
    for run in runs:
        assert not heavy & {name.partition(".")[0] for name in run["new"]}
    assert statistics.median(run["seconds"] for run in runs) < 0.15


def test_row_02_one_scan_serves_every_look_up_until_refreshed(child, site):
    out = child(
        """
        import os, shutil
        from pathlib import Path

        class Counter:
            scans = 0
            def find_spec(self, *args): return None
            def find_distributions(self, context):
                Counter.scans += context.name is None
                return ()

        sys.meta_path.append(Counter())
        here = Path("live"); here.mkdir(); sys.path.insert(0, str(here.resolve()))
        first = [info.name for info in list_heads()]
        absent = attempt(__import__, "fx_alpha")  # the importer, too, has now looked into the empty folder
        before = here.stat()
        shutil.copytree(SOURCE, here, dirs_exist_ok=True)
        # On a file system with coarse time stamps a folder looks untouched by what happens in the same moment.
        os.utime(here, ns=(before.st_atime_ns, before.st_mtime_ns))
        stale = [info.name for info in list_heads()]
        unseen = attempt(get_head, "alpha")
        scans = Counter.scans
        refresh_heads()
        fresh = [info.name for info in list_heads()]
        loaded = get_head("alpha")
        refresh_heads()
        emit(absent=absent, first=first, stale=stale, unseen=unseen, scans=scans, fresh=fresh,
             built=loaded.factory().__module__,
             kept=get_head("alpha") is loaded, rescans=Counter.scans)
        """.replace("SOURCE", repr(str(site("good"))))
    ).out

    assert out["absent"]["error"] == "ModuleNotFoundError"
    assert out["first"] == []
    assert out["stale"] == []
    assert out["unseen"]["error"] == "UnknownHeadError"
    assert "refresh_heads()" in out["unseen"]["text"]
    assert out["scans"] == 1
    assert "alpha" in out["fresh"]
    assert out["built"] == "fx_alpha"
    assert out["kept"] is True
    assert out["rescans"] == 3


def test_row_03_listing_tells_name_distribution_version_and_target_and_imports_nothing(child, site):
    out = child(
        """
        heads = list_heads()
        emit(heads=listed(default_registry()), executed=executed, api=[info.api for info in heads],
             names=[info.name for info in heads], reasons=[info.reason for info in heads],
             plugins=len(default_registry().plugin_manager.list_name_plugin()))
        """,
        site("broken"),
        site("good"),
    ).out

    assert ["fx-alpha:alpha", "1.2.0", "fx_alpha:Head", "available"] in out["heads"]
    assert ["fx-hooks:module", "0.3", "fx_hooks", "available"] in out["heads"]
    assert ["fx-syntax:syntax", "1.0", "fx_syntax:Head", "available"] in out["heads"]
    assert out["names"] == sorted(out["names"])
    assert len(out["names"]) > 30
    assert out["executed"] == []
    assert out["plugins"] == 0
    assert set(map(tuple, out["api"])) == {(1,)}
    assert set(out["reasons"]) == {""}


def test_row_10_the_same_distribution_twice_on_the_path_is_no_conflict(child, site):
    script = """
        emit(heads=listed(default_registry()), loaded=attempt(get_head, "alpha"), gone=attempt(get_head, "gone"))
    """
    new_first = child(script, site("good"), site("old-alpha"), site("good")).out
    old_first = child(script, site("old-alpha"), site("good")).out

    assert ["fx-alpha:alpha", "1.2.0", "fx_alpha:Head", "available"] in new_first["heads"]
    assert "fx-alpha:gone" not in [row[0] for row in new_first["heads"]]
    assert new_first["gone"]["error"] == "UnknownHeadError"
    assert ["fx-alpha:alpha", "1.1", "fx_alpha:Head", "available"] in old_first["heads"]
    assert "fx-alpha:alpha-again" not in [row[0] for row in old_first["heads"]]
    assert new_first["loaded"]["error"] is None
    assert old_first["loaded"]["error"] is None


def test_row_10_a_first_copy_without_heads_hides_the_heads_of_a_later_copy(child, site):
    # Python imports the first copy's code, so the later copy's entry points describe code that never runs.
    out = child("emit(heads=listed(default_registry()))", site("headless-alpha"), site("good")).out

    assert {row[0].partition(":")[0] for row in out["heads"]} == {"fx-hooks"}


def test_row_10_of_two_copies_in_one_folder_the_newest_counts(child, site, tmp_path):
    import shutil

    both = tmp_path / "both"
    shutil.copytree(site("good"), both)
    # A broken update leaves the old metadata behind; "0.9" is older, though it sorts behind "0.10" as text.
    (old,) = site("old-alpha").glob("*.dist-info")
    for version in ("0.9", "0.10"):
        shutil.copytree(old, both / f"fx_alpha-{version}.dist-info")
        metadata_file = both / f"fx_alpha-{version}.dist-info" / "METADATA"
        metadata_file.write_text(metadata_file.read_text().replace("Version: 1.1", f"Version: {version}"))
    out = child("emit(heads=listed(default_registry()))", both).out

    assert {row[1] for row in out["heads"] if row[0].startswith("fx-alpha:")} == {"1.2.0"}

    shutil.rmtree(both / "fx_alpha-1.2.0.dist-info")
    out = child("emit(heads=listed(default_registry()))", both).out

    assert {row[1] for row in out["heads"] if row[0].startswith("fx-alpha:")} == {"0.10"}


def test_row_11_invalid_names_are_ignored_with_a_warning(child, site):
    out = child(
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list_heads(); list_heads(); attempt(get_head, "nothing")
        emit(heads=listed(default_registry()), warnings=[[w.category.__name__, str(w.message)] for w in caught],
             sound=attempt(get_head, "sound"), dash=attempt(get_head, "-dash"), colon=attempt(get_head, "a:b"))
        """,
        site("invalid-name"),
    ).out

    assert [row[0] for row in out["heads"]] == ["fx-names:sound"]
    assert [category for category, _ in out["warnings"]] == ["UserWarning"] * 2  # once a scan, not at every look-up
    for (_, text), name in zip(out["warnings"], ["-dash", "a:b"], strict=True):
        assert "'fx-names'" in text
        assert repr(name) in text
    assert out["sound"]["error"] is None
    assert out["dash"]["error"] == out["colon"]["error"] == "UnknownHeadError"


def test_a_malformed_target_is_isolated_on_listing_and_an_error_on_look_up(child, site):
    out = child(
        """
        emit(heads=listed(default_registry()), alpha=attempt(get_head, "alpha"), broken=attempt(get_head, "malformed"))
        """,
        site("malformed"),
        site("good"),
    ).out

    assert ["fx-malformed:malformed", "1.0", "fx-malformed is no module!", "broken"] in out["heads"]
    assert out["alpha"]["error"] is None
    assert out["broken"]["error"] == "BrokenHeadError"
    assert "'fx-malformed is no module!'" in out["broken"]["text"]
    assert "module:attribute" in out["broken"]["text"]


def test_unreadable_metadata_are_skipped_with_a_warning(child, site, spoil):
    spoil(site("unreadable"), "fx-garbled", "entry_points.txt", lambda data: b"\xff\xfe" + data)
    where = spoil(site("unreadable"), "fx-nameless", "METADATA", lambda data: data.replace(b"Name: fx-nameless\n", b""))
    script = """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            heads = listed(default_registry())
        emit(heads=heads, warnings=[str(w.message) for w in caught], alpha=attempt(get_head, "alpha"))
    """
    out = child(script, where, site("good")).out

    assert {row[0].partition(":")[0] for row in out["heads"]} == {"fx-alpha", "fx-hooks"}
    assert len(out["warnings"]) == 2
    assert any("UnicodeDecodeError" in text for text in out["warnings"])
    assert any("state no name" in text for text in out["warnings"])
    assert all(repr(str(where)) in text for text in out["warnings"])
    assert out["alpha"]["error"] is None

    spoil(site("unreadable"), "fx-nameless", "METADATA", None)
    out = child(script, where, site("good")).out

    assert {row[0].partition(":")[0] for row in out["heads"]} == {"fx-alpha", "fx-hooks"}
    assert len(out["warnings"]) == 2


def test_the_remains_of_a_distribution_without_heads_are_nobodys_concern(child, site, tmp_path):
    remains = tmp_path / "remains" / "something-1.0.dist-info"
    remains.mkdir(parents=True)
    (remains / "entry_points.txt").write_text("[console_scripts]\nsomething = something:main\n")
    out = child(
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list_heads()
        emit(warnings=[str(w.message) for w in caught])
        """,
        remains.parent,
    ).out

    assert out["warnings"] == []


def test_a_line_that_is_no_entry_point_leaves_out_that_distribution_alone(child, site, spoil):
    where = spoil(site("double"), "fx-double", "entry_points.txt", lambda data: data + b"\nno equals sign\n")
    out = child(
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            heads = listed(default_registry())
        emit(heads=heads, warnings=[str(w.message) for w in caught])
        """,
        where,
        site("good"),
    ).out

    assert {row[0].partition(":")[0] for row in out["heads"]} == {"fx-alpha", "fx-hooks"}
    assert len(out["warnings"]) == 1


def test_row_25_without_first_party_heads_the_core_imports_and_lists_nothing(child):
    out = child(
        """
        import setfit_core
        from importlib.metadata import distributions
        emit(heads=listed(default_registry()), file=setfit_core.__file__, lost=attempt(get_head, "logistic"),
             installed=sorted(d.metadata["Name"] for d in distributions()))
        """
    ).out

    assert out["installed"] == ["packaging", "pluggy", "setfit-core", "typing_extensions"]
    assert "sites" in out["file"]  # pip's copy, not the source tree
    assert out["heads"] == []
    assert out["lost"]["error"] == "UnknownHeadError"
    assert "No heads are installed." in out["lost"]["text"]
    assert "pip install setfit-head-logistic" in out["lost"]["text"]

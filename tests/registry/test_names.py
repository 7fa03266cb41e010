"""From a name to a head: conflicts, typing errors, and what the environment allows (rows 7-9, 12-15, 21)."""

from __future__ import annotations

import itertools


def test_row_07_a_conflict_names_both_distributions_and_a_qualified_name_settles_it(child, site):
    out = child(
        """
        emit(
            heads=listed(default_registry()),
            plain=attempt(get_head, "shared"),
            executed=list(executed),
            a=get_head("fx-rival-a:shared").factory.__module__,
            b=get_head("Fx_Rival.B:shared").factory.__module__,
            only=attempt(get_head, "only-a"),
            reason=[info.reason for info in list_heads() if info.name == "shared"],
        )
        """,
        site("rival-a"),
        site("rival-b"),
    ).out

    assert out["plain"]["error"] == "AmbiguousHeadError"
    for part in ("fx-rival-a (fx_rival_a:Head)", "fx-rival-b (fx_rival_b:Head)"):
        assert part in out["plain"]["text"]
        assert part in out["reason"][0]
    for part in ("'fx-rival-a:shared'", "'fx-rival-b:shared'"):
        assert part in out["plain"]["text"]
    assert out["executed"] == []
    assert (out["a"], out["b"]) == ("fx_rival_a", "fx_rival_b")
    assert out["only"]["error"] is None
    assert [row[3] for row in out["heads"]] == ["available", "available", "ambiguous", "ambiguous"]


def test_row_07_switching_one_claim_off_settles_a_conflict(child, site):
    script = """
        emit(factory=get_head("shared").factory.__module__, heads=listed(default_registry()),
             refused=attempt(get_head, "fx-rival-a:shared"))
    """
    sites = (site("rival-a"), site("rival-b"))
    denied = child(script, *sites, SETFIT_HEADS_DENY="fx-rival-a:shared").out
    allowed = child(script, *sites, SETFIT_HEADS_ALLOW="fx-rival-b:*").out
    none_left = child('emit(plain=attempt(get_head, "shared"))', *sites, SETFIT_HEADS_DENY="shared").out

    assert denied["factory"] == allowed["factory"] == "fx_rival_b"
    assert denied["refused"]["error"] == allowed["refused"]["error"] == "DisabledHeadError"
    assert none_left["plain"]["error"] == "DisabledHeadError"
    assert ["fx-rival-b:shared", "1.0", "fx_rival_b:Head", "available"] in denied["heads"]


def test_row_08_hash_seeds_path_orders_and_distance_between_duplicates_change_nothing(child, site):
    script = """
        emit(heads=listed(default_registry()), shared=attempt(get_head, "shared"), typo=attempt(get_head, "onyl-b"),
             a=get_head("fx-rival-a:shared").factory.__module__, reasons=[info.reason for info in list_heads()])
    """
    # In some of these orders the rivals are neighbours on the path, in some other distributions lie between.
    orders = list(itertools.permutations(["rival-a", "good", "rival-b", "malformed"]))[::3]
    assert len(orders) == 8
    outcomes = [child(script, *map(site, order), PYTHONHASHSEED=str(seed)).out for seed, order in enumerate(orders)]

    assert outcomes[0]["shared"]["error"] == "AmbiguousHeadError"
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_row_09_no_name_has_priority_not_even_a_first_party_one(child, site, spoil):
    usurped = spoil(
        site("usurper"), "fx-usurper", "entry_points.txt", lambda data: data.replace(b"usurper =", b"logistic =")
    )
    for order in ((usurped, site("plugins")), (site("plugins"), usurped)):
        out = child(
            """
            emit(plain=attempt(get_head, "logistic"), executed=executed,
                 chosen=get_head("fx-usurper:logistic").factory.__module__)
            """,
            *order,
        ).out

        assert out["plain"]["error"] == "AmbiguousHeadError"
        assert "setfit-head-logistic" in out["plain"]["text"]
        assert "fx-usurper" in out["plain"]["text"]
        assert out["chosen"] == "fx_usurper"


def test_two_targets_for_one_name_in_one_distribution(child, site, spoil):
    where = spoil(site("double"), "fx-double", "entry_points.txt", lambda data: data + b"\ndouble = fx_double:Other\n")
    out = child(
        """
        emit(plain=attempt(get_head, "double"), qualified=attempt(get_head, "fx-double:double"),
             heads=listed(default_registry()), executed=executed)
        """,
        where,
    ).out

    for found in (out["plain"], out["qualified"]):
        assert found["error"] == "AmbiguousHeadError"
        assert "fx_double:Head" in found["text"]
        assert "fx_double:Other" in found["text"]
    assert [row[3] for row in out["heads"]] == ["ambiguous"] * 2
    assert out["executed"] == []


def test_the_same_line_twice_is_one_claim(child, site, spoil):
    where = spoil(site("double"), "fx-double", "entry_points.txt", lambda data: data + b"\ndouble = fx_double:Head\n")
    out = child('emit(found=attempt(get_head, "double"), heads=listed(default_registry()))', where).out

    assert out["found"]["error"] is None
    assert len(out["heads"]) == 1


WARNINGS = """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        heads = listed(default_registry())
        list_heads()
    emit(heads=heads, warnings=[str(w.message) for w in caught], alpha=attempt(get_head, "alpha"),
         module=attempt(get_head, "module"), executed=executed)
"""


def statuses(out):
    return {row[0]: row[3] for row in out["heads"]}


def test_row_12_deny_patterns_switch_heads_off(child, site):
    out = child(WARNINGS, site("good"), SETFIT_HEADS_DENY="alpha, FX_hooks:mod*").out

    assert out["alpha"]["error"] == out["module"]["error"] == "DisabledHeadError"
    assert "SETFIT_HEADS_DENY" in out["alpha"]["text"]
    assert "'alpha'" in out["alpha"]["text"]
    assert out["executed"] == []
    disabled = {name for name, status in statuses(out).items() if status == "disabled"}
    assert disabled == {"fx-alpha:alpha", "fx-hooks:module"}
    assert out["warnings"] == []


def test_row_12_deny_beats_allow_and_a_star_matches_everything(child, site):
    out = child(WARNINGS, site("good"), SETFIT_HEADS_ALLOW="*", SETFIT_HEADS_DENY="alpha").out

    assert out["alpha"]["error"] == "DisabledHeadError"
    assert out["module"]["error"] is None

    out = child(WARNINGS, site("good"), SETFIT_HEADS_DENY="*").out

    assert set(statuses(out).values()) == {"disabled"}
    assert out["warnings"] == []


def test_row_12_a_pattern_that_names_nothing_installed_warns_once_a_scan(child, site):
    out = child(
        WARNINGS,
        site("good"),
        SETFIT_HEADS_ALLOW="alpha,alhpa,fx-*:nothing*",
        SETFIT_HEADS_DENY="fx-hoks:*,*:modul,zzz*,*",
    ).out

    assert len(out["warnings"]) == 3
    for variable, pattern in (
        ("SETFIT_HEADS_ALLOW", "alhpa"),
        ("SETFIT_HEADS_DENY", "fx-hoks:*"),
        ("SETFIT_HEADS_DENY", "*:modul"),
    ):
        assert any(variable in text and repr(pattern) in text for text in out["warnings"])


def test_row_21_an_allow_list_of_distributions_is_enforced_before_import(child, site):
    out = child(WARNINGS, site("good"), site("broken"), SETFIT_HEADS_ALLOW="setfit-head-logistic:*,fx-alpha:*").out

    assert out["alpha"]["error"] is None
    assert out["module"]["error"] == "DisabledHeadError"
    assert "SETFIT_HEADS_ALLOW" in out["module"]["text"]
    assert "'fx-hooks:module'" in out["module"]["text"]
    assert out["executed"] == ["fx_alpha"]
    assert {name for name, status in statuses(out).items() if status == "available"} == {
        name for name in statuses(out) if name.startswith("fx-alpha:")
    }

    out = child(WARNINGS, site("good"), SETFIT_HEADS_ALLOW="").out

    assert set(statuses(out).values()) == {"disabled"}


def test_row_13_required_heads_with_versions(child, site):
    out = child(
        """
        emit(
            met=attempt(require_heads, "alpha", "alpha>=1.2,<2", "fx-hooks:module>=0.3", "alpha.made == 1.2.0"),
            old=attempt(require_heads, "alpha>=2"),
            missing=attempt(require_heads, "alhpa>=1", "module>5", "alpha"),
            conflict=attempt(require_heads, "shared"),
            broken=attempt(require_heads, "malformed"),
            unreadable=attempt(require_heads, ">=1"),
            marker=attempt(require_heads, "alpha; python_version < '3'"),
            nothing=attempt(require_heads),
            executed=executed,
        )
        """,
        *map(site, ("good", "rival-a", "rival-b", "malformed")),
    ).out

    assert out["met"]["error"] is None
    assert out["nothing"]["error"] is None
    for name in ("old", "missing", "conflict", "broken", "unreadable", "marker"):
        assert out[name]["error"] == "RequiredHeadError", name
    assert "fx-alpha 1.2.0" in out["old"]["text"]
    assert 'pip install "fx-alpha>=2"' in out["old"]["text"]
    # One error names everything that is amiss.
    assert "'alhpa>=1'" in out["missing"]["text"]
    assert "Did you mean 'alpha'" in out["missing"]["text"]
    assert "'module>5'" in out["missing"]["text"]
    assert len(out["missing"]["text"].splitlines()) == 2
    assert "fx-rival-a" in out["conflict"]["text"]
    assert out["executed"] == []


def test_row_13_heads_required_by_the_environment(child, site):
    script = """
        emit(listed=attempt(list_heads), loaded=attempt(get_head, "alpha"), again=attempt(list_heads),
             executed=executed)
    """
    met = child(script, site("good"), SETFIT_HEADS_REQUIRE="alpha>=1.0,<2, fx-hooks:module").out
    unmet = child(script, site("good"), SETFIT_HEADS_REQUIRE="alpha>=1.0,!=1.2.0,logistic").out
    denied = child(script, site("good"), SETFIT_HEADS_REQUIRE="alpha", SETFIT_HEADS_DENY="alpha").out

    assert met["listed"]["error"] is met["loaded"]["error"] is None
    for found in (unmet["listed"], unmet["loaded"], unmet["again"]):
        assert found["error"] == "RequiredHeadError"
        assert "'alpha>=1.0,!=1.2.0'" in found["text"]
        assert "pip install setfit-head-logistic" in found["text"]
        assert "SETFIT_HEADS_REQUIRE" in found["text"]
    assert unmet["executed"] == []
    assert denied["loaded"]["error"] == "RequiredHeadError"
    assert "SETFIT_HEADS_DENY" in denied["loaded"]["text"]


def test_row_14_a_typing_error_is_met_with_a_suggestion_and_imports_nothing(child, site):
    out = child(
        """
        emit(
            typo=attempt(get_head, "alpa"),
            case=attempt(get_head, "ALPHA"),
            strange=attempt(get_head, "qqqqqq"),
            near_known=attempt(get_head, "logistc"),
            known=attempt(get_head, "linear"),
            outside=attempt(get_head, "xgboost"),
            empty=attempt(get_head, ""),
            executed=executed,
        )
        """,
        site("broken"),
        site("good"),
        site("malformed"),
    ).out

    for name in ("typo", "case", "strange", "near_known", "known", "outside", "empty"):
        assert out[name]["error"] == "UnknownHeadError"
        assert "Installed heads: " in out[name]["text"]
        assert "'alpha', 'alpha-again'" in out[name]["text"]
        assert "'syntax'" in out[name]["text"]
    assert "Did you mean 'alpha'" in out["typo"]["text"]
    assert "Did you mean 'alpha'" in out["case"]["text"]
    assert "Did you mean" not in out["strange"]["text"]
    # An install command is for names we know; one made from a typing error might fetch a stranger's package.
    assert out["known"]["text"].endswith("pip install setfit-head-linear")
    assert out["outside"]["text"].endswith("pip install setfit-head-xgboost")
    assert "Did you mean" not in out["known"]["text"]
    assert "pip install setfit-head-logistic." in out["near_known"]["text"]
    for name in ("typo", "case", "strange", "empty"):
        assert "pip install" not in out[name]["text"]
        assert "setfit-head-NAME" in out[name]["text"]
    assert "logistc" not in out["near_known"]["text"].split("pip install", 1)[1]
    assert out["executed"] == []


def test_row_14_an_unknown_qualified_name_says_which_part_is_unknown(child, site):
    out = child(
        """
        emit(
            head=attempt(get_head, "fx-alpha:alhpa"),
            distribution=attempt(get_head, "fx-alhpa:alpha"),
            both=attempt(get_head, "fx-hoks:qqqqqq"),
            headless=attempt(get_head, "pluggy:alpha"),
            nameless=attempt(get_head, ":alpha"),
        )
        """,
        site("good"),
    ).out

    assert {found["error"] for found in out.values()} == {"UnknownHeadError"}
    assert "'fx-alpha' is installed but offers no head named 'alhpa'" in out["head"]["text"]
    assert "Did you mean 'alpha'" in out["head"]["text"]
    assert "'module'" not in out["head"]["text"].split("Installed heads")[0]
    assert "'fx-alhpa', asked for the head 'alpha', isn't installed" in out["distribution"]["text"]
    assert "'fx-alpha:alpha'" in out["distribution"]["text"]
    assert "Did you mean the distribution 'fx-hooks'" in out["both"]["text"]
    assert "'pluggy' is installed but offers no heads at all" in out["headless"]["text"]
    assert "isn't installed" in out["nameless"]["text"]


def test_row_15_every_reason_has_an_error_of_its_own(child, site):
    sites = map(site, ("good", "broken", "versions", "rival-a", "rival-b"))
    names = ["nothing", "class", "runtime", "needs-newer", "shared", "shape"]
    out = child(
        f"emit(errors=[attempt(get_head, name)['error'] for name in {names!r}])", *sites, SETFIT_HEADS_DENY="class"
    ).out

    assert out["errors"] == [
        "UnknownHeadError",
        "DisabledHeadError",
        "BrokenHeadError",
        "IncompatibleHeadError",
        "AmbiguousHeadError",
        "NonConformingHeadError",
    ]

"""Good model folders with something changed at random: values of JSON, members of archives, bytes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

SAVED = Path(__file__).parents[1] / "saved_folders" / "version-2"

_NUMBERS = (-1, 0, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e308)
_STRINGS = (
    "",
    "\0",
    "../..",
    "/etc/passwd",
    "os",
    "system",
    "builtins",
    "eval",
    "float64",
    "<f8",
    "|O",
    "é\ud800",
    "a" * 4096,
)
_VALUES: tuple[Any, ...] = (*_NUMBERS, *_STRINGS, None, True, False, [], {}, [[]], [None], {"a": 1}, [0] * 1000)


def good_models(directory: Path) -> list[Path]:
    """Save a small model of every format, and return the folders."""
    from setfit_head_xgboost import XGBoostHead
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    from setfit_core import SetFitModel

    body = SetFitModel.from_pretrained(SAVED / "logistic", device="cpu").model_body
    texts = ["goal match striker", "soup garlic butter", "code compile bug"] * 6
    texts = [f"{text} {extra}" for text, extra in zip(texts, ["team", "cook", "merge", "the", ""] * 4, strict=False)]
    labels = ["sport", "food", "tech"] * 6
    heads = (
        RandomForestClassifier(n_estimators=2, random_state=0),
        GradientBoostingClassifier(n_estimators=2, random_state=0),
        HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2),
        KNeighborsClassifier(3, algorithm="kd_tree"),
        KNeighborsClassifier(3, algorithm="ball_tree"),
        KNeighborsClassifier(3, algorithm="brute"),
        MLPClassifier((4,), max_iter=600, random_state=0),
        SVC(probability=False),
        XGBoostHead(n_estimators=2, n_jobs=1),
    )
    folders = [SAVED / name for name in ("logistic", "linear", "one-vs-rest", "forest")]
    for number, head in enumerate(heads):
        model = SetFitModel(body, head)
        model.fit(texts, labels)
        folders.append(model.save_pretrained(directory / f"{number}-{type(head).__name__}"))
    for name in ("logistic", "linear", "one-vs-rest"):
        model = SetFitModel.from_pretrained(SAVED / name, device="cpu")
        folder = model.save_pretrained(directory / f"setfit-{name}", setfit_compatible=True)
        names = json.loads((folder / "config_setfit.json").read_text(encoding="utf-8"))["labels"]
        settings = {"labels": names, "normalize_embeddings": model.normalize_embeddings}
        (folder / "config_setfit.json").write_text(json.dumps(settings), encoding="utf-8")
        shutil.rmtree(folder / "head")
        folders.append(folder)
    return folders


def mutate(good: Path, seed: int, folder: Path) -> str:
    """Make `folder` a copy of a good model with one to three changes; say what was changed."""
    draw = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    told = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        # The tokenizer and the body's weights are large and the same in all; the rest is where heads differ.
        heavy = [path for path in files if path.name in ("tokenizer.json", "model.safetensors")]
        path = draw.choice(heavy if heavy and draw.random() < 0.1 else [path for path in files if path not in heavy])
        told.append(f"{path.relative_to(folder)}: {_change(path, draw)}")
    if draw.random() < 0.8:
        _sign(folder / "head")
    return "; ".join(told)


def _sign(head: Path) -> None:
    """Have the digest of XGBoost's file fit again, so that not only the digest is tried."""
    record, model = head / "head.json", head / "model.json"
    if model.is_file() and record.is_file():
        with contextlib.suppress(ValueError, TypeError):
            digest = hashlib.sha256(model.read_bytes()).hexdigest()
            record.write_text(json.dumps({**json.loads(record.read_bytes()), "sha256": digest}), encoding="utf-8")


def _change(path: Path, draw: random.Random) -> str:
    if draw.random() < 0.03:
        path.unlink()
        return "removed"
    content = path.read_bytes()
    if draw.random() < 0.7:
        changed = _structured(path, content, draw)
        if changed is not None:
            path.write_bytes(changed)
            return "a value"
    path.write_bytes(_noise(content, draw))
    return "bytes"


def _structured(path: Path, content: bytes, draw: random.Random) -> bytes | None:
    try:
        if path.suffix == ".json":
            return _json(content, draw)
        if path.suffix == ".skops":
            return _archive(content, draw)
        if path.suffix == ".safetensors":
            (length,) = struct.unpack("<Q", content[:8])
            header = _json(content[8 : 8 + length], draw)
            return struct.pack("<Q", len(header)) + header + content[8 + length :]
    except (ValueError, zipfile.BadZipFile, struct.error):  # an earlier change left nothing to parse
        return None
    return None


def _json(content: bytes, draw: random.Random) -> bytes:
    root = [json.loads(content)]
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        keys = range(len(node)) if isinstance(node, list) else list(node)
        places.extend((node, key) for key in keys)
        waiting.extend(node[key] for key in keys if isinstance(node[key], list | dict))
    node, key = draw.choice(places)
    kind = draw.random()
    if kind < 0.5:
        node[key] = draw.choice(_VALUES)
    elif kind < 0.75:
        other, place = draw.choice(places)
        node[key] = json.loads(json.dumps(other[place]))
    elif isinstance(node, dict):
        del node[key]
    else:
        node.insert(key, draw.choice(_VALUES))
    return json.dumps(root[0] if root else None).encode()


def _archive(content: bytes, draw: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = draw.choice(["schema.json", *members])
    data = members[name]
    kind = draw.random()
    if name == "schema.json" and kind < 0.9:
        members[name] = _json(data, draw)
    elif kind < 0.45 and len(data) > 136:  # numbers of an array, behind its header
        at = draw.randrange(128, len(data) - 7)
        members[name] = data[:at] + draw.randbytes(8) + data[at + 8 :]
    elif kind < 0.55:
        del members[name]
    elif kind < 0.7:
        members[name] = members[draw.choice(list(members))]
    else:
        members[name] = _noise(data, draw)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return file.getvalue()


def _noise(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return draw.randbytes(9)
    at = draw.randrange(len(content))
    to = min(len(content), at + draw.choice((1, 1, 1, 4, 16, 256)))
    kind = draw.randrange(5)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + content[to:]
    if kind == 2:
        return content[:to] + content[at:to] + content[to:]
    if kind == 3:
        return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
    return content[:at] + draw.randbytes(to - at) + content[to:]

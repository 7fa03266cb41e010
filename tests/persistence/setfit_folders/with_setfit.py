"""Write and read model folders with `setfit` itself. Run by a Python that has it, of any version from 1.0 to 1.2.

python with_setfit.py body FOLDER             make the body that all of the folders share
python with_setfit.py write BODY FOLDER       write a folder for each of CASES, and what setfit predicts with it
python with_setfit.py predict FOLDER ...      print what setfit predicts with folders, as JSON
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402  # the environment must be set before
import sklearn  # noqa: E402  # the same
import torch  # noqa: E402  # the same

WORDS = """
a cast dry dull film goal great is lost match not plot poor rain sun team the very was wet wind won
"""
SEEN = {
    "film": ["the film was great", "a very dull plot", "the cast is not poor", "a great cast", "dull film"],
    "sport": ["the team won the match", "a great goal", "the team lost", "a goal was not great", "the match was won"],
    "weather": ["the rain was very wet", "a dry wind", "the sun is great", "not very dry rain", "the wind was poor"],
}
TEXTS = ["the plot was dull", "a team lost the match", "wet wind", "great", "the film is not the goal", "sun rain sun"]
NAMES = list(SEEN)
#: Which of three labels each of the 15 texts has.
ROWS = [[int(place == i // 5), int(i % 2), int(i % 3 == 0)] for i in range(15) for place in [0]]


def body(folder):
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]))
    tokenizer = BertTokenizerFast(vocab_file=str(source / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(source)
    tokenizer.save_pretrained(source)
    transformer = models.Transformer(str(source), max_seq_length=16)
    SentenceTransformer(modules=[transformer, models.Pooling(16)], device="cpu").save(str(folder / "body"))


def cases():
    """Return what to build for each case: a head, labels of the texts, and arguments of SetFitModel."""
    from setfit.modeling import SetFitHead
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

    strings = [name for name, texts in SEEN.items() for _ in texts]
    numbers = [NAMES.index(name) for name in strings]
    shifted = [("sport", "weather", "film").index(name) for name in strings]
    two = [number % 2 for number in numbers]
    torch.manual_seed(1)
    known = LogisticRegression().get_params()
    made = {
        "strings": (LogisticRegression(C=10), strings, {}),
        "strings_in_another_order": (LogisticRegression(), strings, {"labels": ["weather", "film", "sport"]}),
        "numbers": (LogisticRegression(), numbers, {}),
        "numbers_with_names": (LogisticRegression(), shifted, {"labels": ["sport", "weather", "film"]}),
        "numbers_with_a_gap": (LogisticRegression(), [2 * number for number in two], {"labels": NAMES}),
        "normalized": (LogisticRegression(class_weight="balanced"), strings, {"normalize_embeddings": True}),
        "two_strings": (LogisticRegression(solver="liblinear"), [NAMES[number] for number in two], {}),
        "without_intercept": (LogisticRegression(fit_intercept=False), numbers, {}),
        "one_vs_rest_of_single_labels": (OneVsRestClassifier(LogisticRegression()), strings, {}),
        "one_vs_rest": (
            OneVsRestClassifier(LogisticRegression()),
            ROWS,
            {"multi_target_strategy": "one-vs-rest", "labels": NAMES},
        ),
        "one_vs_rest_with_a_constant": (
            OneVsRestClassifier(LogisticRegression()),
            [[*row[:2], 0] for row in ROWS],
            {"multi_target_strategy": "one-vs-rest"},
        ),
        "multi_output": (
            MultiOutputClassifier(LogisticRegression()),
            ROWS,
            {"multi_target_strategy": "multi-output"},
        ),
        "chain": (
            ClassifierChain(LogisticRegression(), order=[2, 0, 1]),
            ROWS,
            {"multi_target_strategy": "classifier-chain"},
        ),
        "torch": (SetFitHead(16, 3, device="cpu"), None, {"labels": NAMES}),
        "torch_without_names": (SetFitHead(16, 2, temperature=0.5, eps=1e-3, bias=False, device="cpu"), None, {}),
        "torch_multi_label": (
            SetFitHead(16, 3, device="cpu", multitarget=True),
            None,
            {"multi_target_strategy": "multi-output", "labels": NAMES},
        ),
    }
    if "multi_class" in known:  # up to scikit-learn 1.7
        made["ovr"] = (LogisticRegression(multi_class="ovr"), strings, {})
        made["liblinear"] = (LogisticRegression(solver="liblinear"), strings, {})
        made["multinomial_of_two"] = (LogisticRegression(multi_class="multinomial"), two, {})
    return made


def write(body_folder, folder):
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel

    texts = [text for texts in SEEN.values() for text in texts]
    for name, (head, labels, arguments) in cases().items():
        model = SetFitModel(SentenceTransformer(str(body_folder), device="cpu"), head, **arguments)
        if labels is None:
            with torch.no_grad():
                head.linear.weight.mul_(3)
        else:
            model.fit(texts, labels, num_epochs=1)
        if name == "torch_without_names":
            del head.multitarget  # as setfit saved heads before it had multi-label ones
        target = folder / name
        model.save_pretrained(str(target))
        if name == "torch_without_names":
            head.multitarget = False
        else:
            model = SetFitModel.from_pretrained(str(target), device="cpu")
        expected = {"versions": versions(), **predictions(model)}
        (target / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


def predictions(model):
    return {
        "predict": listed(model.predict(TEXTS)),
        "predict_proba": listed(model.predict_proba(TEXTS)),
        "classes": listed(getattr(model.model_head, "classes_", None)),
        "labels": model.labels,
    }


def listed(values):
    if isinstance(values, (list, tuple)):
        return [listed(value) for value in values]
    return values.tolist() if isinstance(values, (np.ndarray, torch.Tensor, np.generic)) else values


def versions():
    import setfit

    return {"setfit": setfit.__version__, "scikit-learn": sklearn.__version__, "numpy": np.__version__}


def predict(folders):
    from setfit import SetFitModel

    print(json.dumps({f: predictions(SetFitModel.from_pretrained(f, device="cpu")) for f in folders}))


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    if command == "predict":
        predict(paths)
    else:
        {"body": body, "write": write}[command](*map(Path, paths))

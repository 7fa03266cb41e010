"""Route chat messages to topics after seeing eight messages of each topic.

    python demo/chat_router.py [--head linear] [--topics coding science trivia]

The messages are real: people contributed them to the corpus of the ChatterBot project, which comes as the
PyPI package `chatterbot-corpus` (BSD-3-Clause). Each English topic is a YAML file of conversations; the first
message of a conversation is a text, the topic is its label. The messages are short and many follow a pattern
("can you write a ... in Python?"), so this is easier than real chat.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from importlib.metadata import version
from importlib.resources import files

import yaml
from datasets import Dataset
from rich.console import Console
from rich.table import Table

from setfit_core import SetFitModel, Trainer, TrainingArguments, list_heads, sample_dataset

CORPUS = files("chatterbot_corpus") / "data" / "english"
TOPICS = ["coding", "emotion", "literature", "sports", "trivia"]
TEXTS_PER_TOPIC = 8
TEST_TEXTS_PER_TOPIC = 40
SEED = 42
MODEL_FOLDER = "demo-model"
NEW_MESSAGES = [
    "How do I reverse a string in Rust?",
    "Were you ever heartbroken?",
    "Who wrote Pride and Prejudice?",
    "Did you watch the tennis final yesterday?",
    "What is the capital of Australia?",
]

console = Console(highlight=False, markup=False)


def all_topics() -> list[str]:
    return sorted(file.name.removesuffix(".yml") for file in CORPUS.iterdir())


def read_messages(topics: list[str]) -> dict[str, str]:
    """Return {message: topic}, without one-word messages and without messages that occur under two topics."""
    found: dict[str, dict[str, str]] = {}
    for topic in topics:
        conversations = yaml.safe_load((CORPUS / f"{topic}.yml").read_text(encoding="utf-8"))["conversations"]
        for first_message, *_ in conversations:
            message = " ".join(str(first_message).split())
            found.setdefault(message.casefold(), {})[topic] = message
    unambiguous = [under.popitem() for under in found.values() if len(under) == 1]
    return {message: topic for topic, message in unambiguous if " " in message}


def split(messages: dict[str, str]) -> tuple[Dataset, Dataset]:
    """Draw the few training messages; return them and (up to a cap) the rest, for testing."""
    everything = Dataset.from_dict({"text": list(messages), "label": list(messages.values())})
    train = sample_dataset(everything, num_samples=TEXTS_PER_TOPIC, seed=SEED)
    seen = set(train["text"])
    rest = everything.select([row for row, text in enumerate(messages) if text not in seen])
    return train, sample_dataset(rest, num_samples=TEST_TEXTS_PER_TOPIC, seed=SEED)


def show_table(*columns: str, rows: list[list[object]]) -> None:
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)


def heading(text: str) -> None:
    console.print(f"\n{text}", style="bold cyan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    heads = list_heads()
    parser.add_argument("--head", default="logistic", choices=[head.name for head in heads])
    parser.add_argument("--topics", nargs="+", default=TOPICS, help=f"default: {' '.join(TOPICS)}")
    args = parser.parse_args()
    if unknown := set(args.topics) - set(all_topics()):
        parser.error(f"no topic {', '.join(sorted(unknown))}; there are {', '.join(all_topics())}")

    heading("Heads installed")
    rows = [[head.name, f"{head.distribution} {head.version}", head.status] for head in heads]
    show_table("name", "from", "status", rows=rows)

    heading(f"Messages from the PyPI package chatterbot-corpus {version('chatterbot-corpus')} (BSD-3-Clause)")
    train, test = split(read_messages(args.topics))
    examples: dict[str, list[str]] = {topic: [] for topic in args.topics}
    for text, topic in zip(train["text"], train["label"], strict=True):
        examples[topic].append(text)
    test_counts = Counter(test["label"])
    rows = [[topic, len(texts), test_counts[topic], " | ".join(texts[:2])] for topic, texts in examples.items()]
    show_table("topic", "to train", "to test", "examples", rows=rows)

    heading(f"Training on {len(train)} messages, with the head {args.head!r}")
    model = SetFitModel.from_pretrained(head=args.head)  # the body: the small one that the package brings
    # By default every pair of texts is used; ten pairs of each kind for each text are enough here, and faster.
    arguments = TrainingArguments(
        num_iterations=10, seed=SEED, save_strategy="no", logging_strategy="no", logging_first_step=False
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=train)
    trainer.train_classifier()
    accuracy_before = trainer.evaluate(test)["accuracy"]
    started = time.perf_counter()
    trainer.train()
    console.print(f"Trained in {time.perf_counter() - started:.0f} s.")

    heading(f"Accuracy on {len(test)} other messages")
    predicted = model.predict(test["text"])
    accuracy = trainer.evaluate(test)["accuracy"]
    console.print(f"{max(test_counts.values()) / len(test):6.1%}  always the most frequent topic")
    console.print(f"{accuracy_before:6.1%}  head trained, body as it came")
    console.print(f"{accuracy:6.1%}  body and head trained")
    mistakes = [list(row) for row in zip(test["text"], test["label"], predicted, strict=True) if row[1] != row[2]]
    show_table("some mistakes", "topic", "routed to", rows=mistakes[:3])

    heading("New messages, and how sure the model is")
    probabilities = model.predict_proba(NEW_MESSAGES)
    routed = zip(NEW_MESSAGES, model.predict(NEW_MESSAGES), probabilities, strict=True)
    rows = [[message, topic, f"{max(row):.0%}"] for message, topic, row in routed]
    show_table("message", "routed to", "probability", rows=rows)

    heading(f"Saving to ./{MODEL_FOLDER} and loading it again")
    model.save_pretrained(MODEL_FOLDER)
    reloaded = SetFitModel.from_pretrained(MODEL_FOLDER)
    identical = bool((reloaded.predict_proba(NEW_MESSAGES) == probabilities).all())
    console.print(f"The probabilities are {'identical' if identical else 'DIFFERENT: this is a bug'}.")

    heading("What to try next")
    console.print("python demo/chat_router.py --head linear                   another head")
    console.print("python demo/chat_router.py --topics coding science trivia  other topics")
    console.print("setfit-core --help                                         everything else")
    sys.exit(0 if identical else 1)


if __name__ == "__main__":
    main()

"""Route chat messages to topics after seeing eight messages of each topic.

    python demo/chat_router.py [--head linear] [--topics coding emotion trivia]

The messages are real: people contributed them to the corpus of the ChatterBot project, which comes as the
PyPI package `chatterbot-corpus` (BSD-3-Clause). Each English topic is a YAML file of conversations; the first
message of a conversation is a text, the topic is its label. The messages are short and many follow a pattern
("can you write a ... in Python?"), so this is easier than real chat.
"""

from __future__ import annotations

import argparse
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
TOPICS = ["coding", "emotion", "literature", "science", "sports"]
TEXTS_PER_TOPIC = 8
TEST_TEXTS_PER_TOPIC = 40
SEED = 42
MODEL_FOLDER = "demo-model"
NEW_MESSAGES = [
    "How do I reverse a string in Rust?",
    "Were you ever heartbroken?",
    "Who wrote Pride and Prejudice?",
    "Why is the sky blue?",
    "Did you watch the tennis final yesterday?",
    "Where can I get a good pizza around here?",
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
    console.print(table, "\n")


def heading(text: str) -> None:
    console.print(text, style="bold cyan")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", default="logistic", help="an installed head (default: logistic)")
    parser.add_argument("--topics", nargs="+", default=TOPICS, help=f"default: {' '.join(TOPICS)}")
    args = parser.parse_args()
    if unknown := set(args.topics) - set(all_topics()):
        parser.error(f"no topic {', '.join(sorted(unknown))}; there are {', '.join(all_topics())}")

    heading("Heads installed")
    show_table(
        "name",
        "from",
        "status",
        rows=[[h.name, f"{h.distribution} {h.version}", h.status] for h in list_heads()],
    )

    heading(f"Messages from the PyPI package chatterbot-corpus {version('chatterbot-corpus')} (BSD-3-Clause)")
    train, test = split(read_messages(args.topics))
    train_counts, test_counts = Counter(train["label"]), Counter(test["label"])
    examples = {topic: text for text, topic in zip(train["text"], train["label"], strict=True)}
    rows = [[topic, train_counts[topic], test_counts[topic], examples[topic]] for topic in args.topics]
    show_table("topic", "to train", "to test", "example", rows=rows)

    heading(f"Training the head {args.head!r} and its body on {len(train)} messages")
    model = SetFitModel.from_pretrained(head=args.head)
    trainer = Trainer(model=model, args=TrainingArguments(seed=SEED), train_dataset=train)
    started = time.perf_counter()
    trainer.train()
    console.print(f"Trained in {time.perf_counter() - started:.0f} s.\n")

    heading(f"How well it does on {len(test)} messages it has not seen")
    predicted = model.predict(test["text"])
    mistakes = [row for row in zip(test["text"], test["label"], predicted, strict=True) if row[1] != row[2]]
    majority = max(test_counts.values()) / len(test)
    console.print(
        f"Accuracy {1 - len(mistakes) / len(test):.1%} (always the most frequent topic: {majority:.1%})"
    )
    show_table("some mistakes", "should be", "routed to", rows=[list(row) for row in mistakes[:3]])

    heading("New messages, and how sure it is")
    probabilities = model.predict_proba(NEW_MESSAGES)
    routed = zip(NEW_MESSAGES, model.predict(NEW_MESSAGES), probabilities, strict=True)
    show_table(
        "message", "routed to", "probability", rows=[[m, topic, f"{max(p):.0%}"] for m, topic, p in routed]
    )

    model.save_pretrained(MODEL_FOLDER)
    reloaded = SetFitModel.from_pretrained(MODEL_FOLDER)
    identical = bool((reloaded.predict_proba(NEW_MESSAGES) == probabilities).all())
    heading(f"Saved to ./{MODEL_FOLDER}; read back from there, it gives identical probabilities: {identical}")
    console.print("""
What to try next
  python demo/chat_router.py --head linear                     another head
  python demo/chat_router.py --topics coding emotion trivia    other topics
  setfit-core --help                                           all commands""")


if __name__ == "__main__":
    main()

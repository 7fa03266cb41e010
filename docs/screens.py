"""Make the screens of docs/command-line.md anew: run its commands, and put what they print below them.

    python docs/screens.py

A block of the kind `console` has commands, each behind `$ `, and below each what it prints. They are run one after the
other in a new folder with the texts below and the configuration file that the page shows.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shlex
import tempfile
from pathlib import Path

from setfit_core.cli import main

PAGE = Path(__file__).with_name("command-line.md")
CONSOLE = re.compile(r"```console\n(.*?)```", flags=re.DOTALL)
CONFIGURATION = re.compile(r"```toml\n(.*?)```", flags=re.DOTALL)

MESSAGES = {
    "account": [
        "I forgot my password and can't sign in",
        "How do I change the email address of my profile?",
        "Please delete my account and all my data",
        "The two-factor code never arrives on my phone",
        "My username is already taken, what now?",
        "I can't log in since the last update",
        "Please lock my profile, somebody else used it",
        "Where can I change my password?",
    ],
    "billing": [
        "I was charged twice this month",
        "Can I get an invoice with our tax number?",
        "My credit card was declined at the checkout",
        "When will I get my money back?",
        "The price on the bill is not the one you advertised",
        "Do you accept payment by bank transfer?",
        "Please cancel the subscription and refund me",
        "There is a fee on my invoice that I don't understand",
    ],
    "delivery": [
        "Where is my parcel?",
        "The package arrived with a broken box",
        "Can you ship to Norway?",
        "The courier left my order at the wrong door",
        "My order should have been here on Monday",
        "How long does shipping take?",
        "The tracking number doesn't work",
        "Half of the items are missing in the box",
    ],
}
TESTS = {
    "account": ["I need to reset my password", "Somebody else is signed in to my profile"],
    "billing": ["Why did you charge my card again?", "Please send me last month's invoice"],
    "delivery": ["My parcel is three days late", "The driver never rang the bell"],
}


def write_texts(folder: Path) -> None:
    """Write the texts that the commands of the page work on."""
    for name, labelled in (("messages.csv", MESSAGES), ("tests.csv", TESTS)):
        rows = [(text, label) for label, texts in labelled.items() for text in texts]
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("message", "intent"), *rows])
    (folder / "new.txt").write_text(
        "Is my order on its way?\nYour invoice has the wrong name on it\n", encoding="utf-8"
    )


def printed_by(command: str) -> str:
    """Run a command in the current folder, and return what it prints to stdout and stderr."""
    _, *arguments = shlex.split(command)
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen), contextlib.suppress(SystemExit):
        main(arguments)
    screen.seek(0)
    return screen.read()


def made_anew(page: str) -> str:
    """Return the page with the screens of its commands, run in the current folder."""
    configuration = CONFIGURATION.search(page)
    if configuration is not None:
        Path("setfit-core.toml").write_text(configuration[1], encoding="utf-8")

    def screens(block: re.Match[str]) -> str:
        commands = [line for line in block[1].splitlines() if line.startswith("$ ")]
        return "```console\n{}```".format("\n".join(f"{line}\n{printed_by(line[2:])}" for line in commands))

    return CONSOLE.sub(screens, page)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        write_texts(Path(directory))
        os.chdir(directory)
        text = made_anew(text)
        os.chdir("/")
    PAGE.write_text(text, encoding="utf-8")

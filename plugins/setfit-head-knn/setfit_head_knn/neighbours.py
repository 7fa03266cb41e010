"""The nearest of many vectors by cosine similarity: exactly, or approximately through a graph."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import voyager  # type: ignore[import-untyped]  # it has no annotations

__all__ = ["Neighbours", "unit_rows"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Numbers in one block of similarities or of gathered vectors, which bounds the memory that a search takes.
BLOCK: Final = 2**24
#: Vectors that the graph takes at a time: the library copies them, and counts their numbers in 32 bits.
ROWS_AT_A_TIME: Final = 2**15
#: Links of a vector, and candidates looked at while one is added and at least while one is searched (M,
#: efConstruction and ef in Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
#: Hierarchical Navigable Small World graphs", 2018, https://arxiv.org/abs/1603.09320).
LINKS: Final = 16
CANDIDATES_WHEN_ADDING: Final = 128
CANDIDATES: Final = 128


class Neighbours:
    """Vectors among which the nearest ones are found.

    What is found depends on nothing but the vectors, their order and the query: not on the other queries of a call,
    nor on the number of threads. Similarities are computed in float64, and of equal ones the earlier vector counts
    as nearer; of many equal ones, the approximate search may find others.

    Args:
        vectors: Float32 `[num_vectors, size]`, one at least; rows of length 1, or 0.
        approximate: Whether to search through a graph, which is built at once, in one thread: a graph built in several
            is another each time.
        graph: A graph of these vectors that is there already.
    """

    def __init__(self, vectors: npt.NDArray[np.float32], *, approximate: bool, graph: Any = None) -> None:
        self.vectors = vectors
        self.approximate = approximate
        self._graph: Any = _new_graph(vectors) if approximate and graph is None else graph

    def __getstate__(self) -> dict[str, Any]:
        # The library's graphs can't be copied; one that is built from the same vectors when it is needed is the same.
        return {**vars(self), "_graph": None}

    def __len__(self) -> int:
        return len(self.vectors)

    def extended(self, vectors: npt.NDArray[np.float32], *, approximate: bool) -> Neighbours:
        """Return the neighbours among more vectors: the present ones, followed by others.

        A graph grows in place, so it goes over to those that are returned. Who still searches here, as a copy of a
        head does, has another built.
        """
        if self._graph is None or not approximate:
            return Neighbours(vectors, approximate=approximate)
        graph, self._graph = self._graph, None
        _add(graph, vectors, len(self.vectors))
        return Neighbours(vectors, approximate=True, graph=graph)

    def find(self, queries: Floats, count: int) -> tuple[Indices, Floats]:
        """Find the nearest vectors.

        Args:
            queries: Float64 `[num_queries, size]`, rows of length 1, or 0.
            count: How many to find, from 1 to the number of vectors.

        Returns:
            Their indices and cosine similarities, both `[num_queries, count]`, the nearest first.
        """
        if self.approximate:
            if self._graph is None:
                self._graph = _new_graph(self.vectors)
            found = [self._through_graph(query, count) for query in queries]
        else:
            step = max(1, BLOCK // len(self.vectors))
            found = [self._exactly(queries[i : i + step], count) for i in range(0, len(queries), step)]
        if not found:
            return np.zeros((0, count), dtype=np.int64), np.zeros((0, count))
        indices, similarities = zip(*found, strict=True)
        return np.concatenate(indices), np.concatenate(similarities)

    def _exactly(self, queries: Floats, count: int) -> tuple[Indices, Floats]:
        """Search all vectors: the product in float32 rules out nearly all of them, float64 decides among the rest."""
        total, size = self.vectors.shape
        rough = queries.astype(np.float32) @ self.vectors.T
        border = np.partition(rough, total - count, axis=1)[:, total - count]
        # Two rounded products of rows of length 1 are off by no more than this (Higham, "Accuracy and Stability of
        # Numerical Algorithms", 2002, section 3.1), so that none of the nearest is ruled out.
        slack = (2 * size + 8) * np.finfo(np.float32).eps / 2
        rows, indices = np.nonzero(rough >= (border - np.float32(slack))[:, None])
        return self._nearest(queries, rows, indices, count)

    def _through_graph(self, query: Floats, count: int) -> tuple[Indices, Floats]:
        candidates = max(CANDIDATES, 2 * count)
        try:
            indices, _ = self._graph.query(query.astype(np.float32), count, num_threads=1, query_ef=candidates)
        except voyager.RecallError:  # fewer are linked than asked for, as among many copies of one vector
            return self._exactly(query[None], count)
        return self._nearest(query[None], np.zeros(count, dtype=np.int64), indices.astype(np.int64), count)

    def _nearest(self, queries: Floats, rows: Indices, indices: Indices, count: int) -> tuple[Indices, Floats]:
        """Return the nearest of the candidates `indices` of each row; every row has `count` of them at least."""
        similarities = np.empty(len(rows))
        step = max(1, BLOCK // (4 * self.vectors.shape[1]))
        for i in range(0, len(rows), step):
            pairs = slice(i, i + step)
            gathered = self.vectors[indices[pairs]].astype(np.float64)
            similarities[pairs] = np.einsum("ij,ij->i", queries[rows[pairs]], gathered)
        similarities = similarities.clip(-1, 1)
        order = np.lexsort((indices, -similarities, rows))
        first = np.searchsorted(rows[order], np.arange(len(queries)))
        nearest = order[first[:, None] + np.arange(count)]
        return indices[nearest], similarities[nearest]


def _new_graph(vectors: npt.NDArray[np.float32]) -> Any:
    graph = voyager.Index(
        voyager.Space.Cosine,
        num_dimensions=vectors.shape[1],
        M=LINKS,
        ef_construction=CANDIDATES_WHEN_ADDING,
        random_seed=0,
        max_elements=len(vectors),
    )
    _add(graph, vectors, 0)
    return graph


def _add(graph: Any, vectors: npt.NDArray[np.float32], start: int) -> None:
    """Add the vectors from number `start` on, under their numbers."""
    for i in range(start, len(vectors), ROWS_AT_A_TIME):
        rows = vectors[i : i + ROWS_AT_A_TIME]
        graph.add_items(rows, list(range(i, i + len(rows))), num_threads=1)


def unit_rows(rows: Floats) -> Floats:
    """Return rows of length 1 in their directions; a row of zeros stays as it is.

    Args:
        rows: Finite float64 `[num_rows, size]`, as large or small as they may be.
    """
    rows = _divided(rows, np.abs(rows).max(axis=1))  # squares of very large or small numbers are no floats
    return _divided(rows, np.sqrt(np.einsum("ij,ij->i", rows, rows)))


def _divided(rows: Floats, by: Floats) -> Floats:
    quotient: Floats = rows / np.where(by > 0, by, 1)[:, None]
    return quotient

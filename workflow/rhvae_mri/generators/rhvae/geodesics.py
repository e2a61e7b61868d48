r"""Shortest paths in the latent space under the learned metric.

The length of a path is the integral of sqrt(dz^T G(z) dz). A geodesic minimizes the energy

.. math:: E = n \sum_j (z_{j+1} - z_j)^T G(\tfrac12 (z_j + z_{j+1})) (z_{j+1} - z_j)

of a path of n segments with fixed ends; at the minimum all segments are equally long. E has many local
minima, so the search starts twice, from the straight line and from the shortest path over a graph of the
centroids, and keeps the better end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy
import torch
from torch import Tensor

from rhvae_mri.generators.rhvae.metric import LatentMetric

#: Neighbours of each centroid in the graph, and pieces in which the length of an edge is measured.
GRAPH_NEIGHBOURS = 10
EDGE_PIECES = 8


class LatentPath(NamedTuple):
    """A path of straight segments."""

    points: Tensor  #: from one end to the other, float64, (n + 1, d)
    length: float  #: under the metric


def straight_line(metric: LatentMetric, start: Tensor, end: Tensor, n_segments: int = 60) -> LatentPath:
    """Draw the straight line between two latent positions, with its length under the metric."""
    points = torch.lerp(start, end, _shares(n_segments, start)[:, None])
    return LatentPath(points, _lengths(points, metric).sum().item())


def geodesic(metric: LatentMetric, start: Tensor, end: Tensor, n_segments: int = 60) -> LatentPath:
    """Find a shortest path between two latent positions (d,), in float64: the energy's minimum is flat.

    Segments must be short beside the metric's temperature. The path is never longer than the straight line.
    """
    straight = straight_line(metric, start, end, n_segments)
    starts = [straight.points]
    corners = _graph_path(metric, start, end)
    if corners is not None:
        starts.append(_resample(corners, metric, n_segments))
    return min([straight, *(_relax(points, metric) for points in starts)], key=lambda path: path.length)


def _shares(n: int, like: Tensor) -> Tensor:
    return torch.linspace(0, 1, n + 1, dtype=like.dtype, device=like.device)


def _relax(points: Tensor, metric: LatentMetric) -> LatentPath:
    first, last = points[:1], points[-1:]
    inner = points[1:-1].clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [inner], max_iter=500, tolerance_grad=1e-9, history_size=20, line_search_fn="strong_wolfe"
    )

    @torch.enable_grad()
    def energy() -> Tensor:
        optimizer.zero_grad()
        value = (len(points) - 1) * _squared_lengths(torch.cat([first, inner, last]), metric).sum()
        value.backward()
        return value

    optimizer.step(energy)
    relaxed = torch.cat([first, inner.detach(), last])
    return LatentPath(relaxed, _lengths(relaxed, metric).sum().item())


def _squared_lengths(points: Tensor, metric: LatentMetric) -> Tensor:
    """Squared lengths (..., n) of the segments of paths (..., n + 1, d), with the metric at their middles."""
    steps = points[..., 1:, :] - points[..., :-1, :]
    flat = steps.flatten(0, -2)
    values = metric.at(((points[..., 1:, :] + points[..., :-1, :]) / 2).flatten(0, -2))
    return torch.einsum("ni,nij,nj->n", flat, values.metric, flat).view(steps.shape[:-1])


def _lengths(points: Tensor, metric: LatentMetric) -> Tensor:
    return _squared_lengths(points, metric).clamp_min(0).sqrt()


def _graph_path(metric: LatentMetric, start: Tensor, end: Tensor) -> Tensor | None:
    """The shortest way from one end to the other over centroids; None if the graph has none."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    nodes = torch.cat([start[None], end[None], metric.centroids])
    flat = torch.cdist(nodes, nodes)
    neighbours = flat.topk(min(GRAPH_NEIGHBOURS + 1, len(nodes)), largest=False).indices
    first = torch.arange(len(nodes), device=nodes.device).repeat_interleave(neighbours.shape[1])
    second = neighbours.flatten()
    first, second = first[first != second], second[first != second]
    share = _shares(EDGE_PIECES, nodes)[None, :, None]
    lengths = [
        _lengths(torch.lerp(one[:, None], other[:, None], share), metric).sum(1)
        for one, other in zip(nodes[first].split(1000), nodes[second].split(1000), strict=True)
    ]
    # A centroid may be an end itself; scipy takes an edge of length 0 for none.
    weights = torch.cat(lengths).clamp_min(1e-12).cpu().numpy()
    edges = (first.cpu().numpy(), second.cpu().numpy())
    graph = coo_array((weights, edges), shape=(len(nodes), len(nodes))).tocsr()
    distances, before = dijkstra(graph, directed=False, indices=0, return_predecessors=True)
    if not numpy.isfinite(distances[1]):
        return None
    way = [1]
    while way[-1] != 0:
        way.append(int(before[way[-1]]))
    return nodes[way[::-1]]


def _resample(corners: Tensor, metric: LatentMetric, n_segments: int) -> Tensor:
    """Put points on a path at equal lengths under the metric."""
    pieces = max(1, 4 * n_segments // (len(corners) - 1))
    share = torch.arange(pieces, dtype=corners.dtype, device=corners.device) / pieces
    fine = torch.lerp(corners[:-1, None], corners[1:, None], share[None, :, None]).flatten(0, 1)
    fine = torch.cat([fine, corners[-1:]])
    along = torch.cat([corners.new_zeros(1), _lengths(fine, metric).cumsum(0)])
    wanted = torch.linspace(0, along[-1].item(), n_segments + 1, dtype=corners.dtype, device=corners.device)
    place = torch.searchsorted(along, wanted).clamp(1, len(fine) - 1)
    before, after = along[place - 1], along[place]
    weight = ((wanted - before) / (after - before).clamp_min(1e-300)).clamp(0, 1)
    points = torch.lerp(fine[place - 1], fine[place], weight[:, None])
    points[0], points[-1] = corners[0], corners[-1]
    return points

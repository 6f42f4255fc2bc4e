"""Branching trees that fill the lungs: arteries, veins, and the airways that run beside the arteries.

Grown by dividing a cloud of supplied points, as Tawhai et al. (J Appl Physiol 2004) grow the conducting airways: a
branch runs part of the way to its points' centre of mass, the points are divided there, and each half gets a branch of
its own. Calibres follow Murray's law (1926): the cube of a vessel's radius is proportional to the flow, here the number
of points it supplies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

MURRAY_EXPONENT = 3.0
_SHARE_OF_WAY = (0.34, 0.46)
"""A branch runs about 40 % of the way to the centre of mass (Tawhai et al. 2004)."""


@dataclass(frozen=True, eq=False)
class Tree:
    """A rooted tree; node 0 is the root and every parent comes before its children.

    :param positions: (n, 3) node positions, mm.
    :param parents: (n,) index of the parent, -1 for the root.
    :param flow: (n,) number of end points supplied through the branch that ends at the node.
    :param sideways: (n, 3) unit vectors at right angles to the branch, turning as little as possible along the tree.
    """

    positions: Points
    parents: NDArray[np.intp]
    flow: NDArray[np.float64]
    sideways: Points

    def radii_mm(self, end_radius_mm: float) -> NDArray[np.float64]:
        """Radius of the branch that ends at each node, mm, by Murray's law from that of the last branches."""
        return end_radius_mm * self.flow ** (1 / MURRAY_EXPONENT)


@dataclass(frozen=True, eq=False)
class Tubes:
    """Straight conical pieces, ready to be drawn: (n, 3) starts and ends, (n,) radii at each, mm."""

    starts: Points
    ends: Points
    start_radii: NDArray[np.float64]
    end_radii: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start_radii)

    def chosen(self, keep: NDArray[np.bool_]) -> Tubes:
        """The pieces where `keep` is true."""
        return Tubes(self.starts[keep], self.ends[keep], self.start_radii[keep], self.end_radii[keep])

    @staticmethod
    def joined(parts: list[Tubes]) -> Tubes:
        """All pieces of several sets."""
        return Tubes(
            np.concatenate([t.starts for t in parts]),
            np.concatenate([t.ends for t in parts]),
            np.concatenate([t.start_radii for t in parts]),
            np.concatenate([t.end_radii for t in parts]),
        )


def grow_tree(points: Points, territory: NDArray[np.intp], root: Points, rng: np.random.Generator) -> Tree:
    """Grow a tree from a root to every point.

    :param points: (n, 3) end points, spread evenly over the lung.
    :param territory: (n,) label 0..m-1 of each point's lobe; the first branches each serve one.
    :param root: (3,) where the tree enters the lung.
    """
    group = np.unique(territory, return_inverse=True)[1].astype(np.intp)
    start_node = np.zeros(int(group.max()) + 1, dtype=np.intp)
    towards = points.mean(axis=0) - root
    positions, parents = [np.asarray(root, dtype=np.float64)[None]], [np.array([-1])]
    flow = [np.array([float(len(points))])]
    sideways = [_perpendicular(np.array([[0.0, 0.35, 1.0]]), _unit(towards[None]))]
    nodes = 1
    remaining = points
    while len(remaining):
        groups = len(start_node)
        count = np.bincount(group, minlength=groups).astype(np.float64)
        center = np.stack([np.bincount(group, remaining[:, a], groups) for a in range(3)], axis=1) / count[:, None]
        begin = np.concatenate(positions)[start_node]
        share = np.where(count == 1, 0.97, rng.uniform(*_SHARE_OF_WAY, groups))
        end = begin + share[:, None] * (center - begin)
        direction = _unit(end - begin)
        positions.append(end)
        parents.append(start_node)
        flow.append(count)
        sideways.append(_perpendicular(np.concatenate(sideways)[start_node], direction))

        # Divide every group at its centre of mass, across its widest spread at right angles to the branch.
        offset = remaining - center[group]
        along = direction[group]
        across = offset - 0.8 * np.sum(offset * along, axis=1, keepdims=True) * along
        products = across[:, :, None] * across[:, None, :]
        covariance = np.stack(
            [np.bincount(group, products[:, a, b], groups) for a in range(3) for b in range(3)], axis=1
        ).reshape(-1, 3, 3)
        normal = np.linalg.eigh(covariance)[1][:, :, 2]
        # eigh leaves the sign open, and with it the order of the children: fix it, or libraries would disagree.
        normal *= np.where(normal[np.arange(groups), np.abs(normal).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
        upper = np.sum(offset * normal[group], axis=1) > 0
        alive = count[group] > 1
        child = (2 * group + upper)[alive]
        used, group = np.unique(child, return_inverse=True)
        start_node = nodes + used // 2
        nodes += groups
        remaining = remaining[alive]
    order = np.concatenate(parents).astype(np.intp)
    return Tree(np.concatenate(positions), order, np.concatenate(flow), np.concatenate(sideways))


def tree_tubes(
    tree: Tree, radii_mm: NDArray[np.float64], keep: NDArray[np.bool_], offset_mm: NDArray[np.float64] | None = None
) -> Tubes:
    """Curved, tapering branches as short straight pieces.

    :param radii_mm: (n,) radius of the branch that ends at each node.
    :param keep: (n,) branches to draw.
    :param offset_mm: (n,) shift of each node along the tree's sideways vectors.
    """
    nodes = tree.positions if offset_mm is None else tree.positions + offset_mm[:, None] * tree.sideways
    branch = np.flatnonzero(keep & (tree.parents >= 0))
    parent = tree.parents[branch]
    start, end = nodes[parent], nodes[branch]
    grandparent = np.maximum(tree.parents[parent], 0)
    incoming = _unit(start - nodes[grandparent] + 1e-9)
    length = np.linalg.norm(end - start, axis=1)
    # A branch leaves along its parent's direction and bends away: a quadratic curve whose control point lies ahead.
    straight = _unit(end - start)
    ahead = np.where((tree.parents[parent] >= 0)[:, None], 0.35 * incoming + 0.65 * straight, straight)
    control = start + 0.5 * length[:, None] * ahead
    pieces = np.clip(np.ceil(length / np.maximum(2.5, 1.2 * radii_mm[branch])), 1, 40).astype(int)

    row = np.repeat(np.arange(len(branch)), pieces)
    number = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)

    def curve(t: NDArray[np.float64]) -> Points:
        t = t[:, None]
        return (1 - t) ** 2 * start[row] + 2 * t * (1 - t) * control[row] + t**2 * end[row]

    def radius(t: NDArray[np.float64]) -> NDArray[np.float64]:
        wide = np.minimum(radii_mm[parent], 1.12 * radii_mm[branch])[row]
        return wide + t * (0.94 * radii_mm[branch][row] - wide)

    first, last = number / pieces[row], (number + 1) / pieces[row]
    return Tubes(curve(first), curve(last), radius(first), radius(last))


def line_tubes(points: Points, radii_mm: NDArray[np.float64], piece_mm: float = 3.0) -> Tubes:
    """A smooth tube through points (n, 3) with the radius interpolated between them, as short straight pieces."""
    from scipy.interpolate import PchipInterpolator

    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    samples = np.linspace(0, arc[-1], max(int(arc[-1] / piece_mm), 1) + 1)
    line, radii = PchipInterpolator(arc, points)(samples), np.interp(samples, arc, radii_mm)
    return Tubes(line[:-1], line[1:], radii[:-1], radii[1:])


def _unit(vectors: Points) -> Points:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _perpendicular(vectors: Points, direction: Points) -> Points:
    """The part of `vectors` at right angles to `direction`, unit length."""
    return _unit(vectors - np.sum(vectors * direction, axis=1, keepdims=True) * direction)

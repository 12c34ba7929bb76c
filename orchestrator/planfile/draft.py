"""A plan in the making: the file's values with some parts taken out, so that the rest can be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.planfile.yaml_text import Path
    from orchestrator.planfile.yaml_tree import Node, Tree

__all__ = ["Draft"]


class Draft:
    """The values of a tree under edits; every path is a path in the file, wherever the value has gone meanwhile."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._renamed: dict[Path, str] = {}
        self._written: dict[Path, str] = {}  # from a path with the new key to the key in the file
        self._put: dict[Path, object] = {}
        self._gone: dict[Path, set[str | int]] = {}

    @property
    def edits(self) -> int:
        """How many parts were changed."""
        return len(self._renamed) + len(self._put) + sum(map(len, self._gone.values()))

    @property
    def touched(self) -> frozenset[Path]:
        """The parts that are taken out or replaced."""
        gone = ((*around, part) for around, parts in self._gone.items() for part in parts)
        return frozenset((*gone, *self._put))

    def replaced(self, path: Path) -> bool:
        """Tell whether another value stands there now."""
        return path in self._put

    def drop(self, path: Path) -> None:
        """Take a part out."""
        self._gone.setdefault(path[:-1], set()).add(path[-1])

    def put(self, path: Path, value: object) -> None:
        """Replace a part, or add a key at the root."""
        self._put[path] = value

    def rename(self, path: Path, key: str) -> None:
        """Read a key as another one."""
        self._renamed[path] = key
        self._written[*path[:-1], key] = str(path[-1])

    def value(self) -> object:
        """Return the edited plain value."""
        assert self._tree.root is not None
        value = self._build(self._tree.root, ()) if self.edits else self._tree.root.value()
        if isinstance(value, dict):
            value |= {self.meant(path)[0]: new for path, new in self._put.items() if len(path) == 1}
        return value

    def _build(self, node: Node, path: Path) -> object:
        if path in self._put:
            return self._put[path]
        gone = self._gone.get(path, ())
        if isinstance(node.content, dict):
            return {
                self._renamed.get((*path, key), key): self._build(entry.node, (*path, key))
                for key, entry in node.content.items()
                if key not in gone
            }
        if isinstance(node.content, tuple):
            return tuple(self._build(item, (*path, at)) for at, item in enumerate(node.content) if at not in gone)
        return node.content

    def origin(self, where: Path) -> Path:
        """Return the path in the file of a part of the edited value."""
        path: Path = ()
        for part in where:
            if isinstance(part, int) and path in self._gone:
                node = self._tree.node(path)
                items = len(node.content) if node and isinstance(node.content, tuple) else 0
                kept = [at for at in range(items) if at not in self._gone[path]]
                path = (*path, kept[part] if part < len(kept) else part)
            else:
                path = (*path, self._written.get((*path, part), part))
        return path

    def meant(self, path: Path) -> Path:
        """Return a path in the file with every key as it is read."""
        return tuple(self._renamed.get(path[: at + 1], part) for at, part in enumerate(path))

"""Names and where they hold: scopes in each other, what each declares, and which uses find nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import tree_sitter

__all__ = ["Binding", "Names", "Scope"]


@dataclass(frozen=True, slots=True)
class Binding:
    """One declaration of a name; the kind is the language's own word."""

    kind: str
    node: tree_sitter.Node


@dataclass(slots=True, eq=False)
class Scope:
    """One scope. What a `hidden` one declares is not seen from functions in it: a class of Python."""

    parent: Scope | None = None
    function: bool = False
    hidden: bool = False
    names: dict[str, list[Binding]] = field(default_factory=dict)

    def declare(self, name: str, kind: str, node: tree_sitter.Node) -> None:
        """Take a declaration; there may be several of one name."""
        self.names.setdefault(name, []).append(Binding(kind, node))

    def of_function(self) -> Scope:
        """Return the scope of the function around, or of the file."""
        scope = self
        while not scope.function and scope.parent is not None:
            scope = scope.parent
        return scope

    def of_file(self) -> Scope:
        """Return the outermost scope."""
        return self if self.parent is None else self.parent.of_file()

    def knows(self, name: str) -> bool:
        """Tell whether the name is declared here or further out."""
        scope: Scope | None = self
        left_function = False
        while scope is not None:
            if name in scope.names and not (scope.hidden and left_function):
                return True
            left_function = left_function or scope.function
            scope = scope.parent
        return False


@dataclass(slots=True)
class Names:
    """What one file declares and uses; `handled` are nodes that look like uses and are none."""

    scopes: list[Scope] = field(default_factory=lambda: [Scope(function=True)])
    uses: list[tuple[str, Scope, tree_sitter.Node]] = field(default_factory=list)
    handled: set[int] = field(default_factory=set)

    def within(self, parent: Scope, *, function: bool = False, hidden: bool = False) -> Scope:
        """Return a new scope in another one."""
        self.scopes.append(Scope(parent, function, hidden))
        return self.scopes[-1]

    def unresolved(self, known: Callable[[str], bool]) -> Iterator[tuple[str, tree_sitter.Node]]:
        """Yield each name that is used where nothing declares it, with its first use; `known` are there without that."""
        told: set[str] = set()
        for name, scope, node in self.uses:
            if name not in told and not scope.knows(name) and not known(name):
                told.add(name)
                yield name, node

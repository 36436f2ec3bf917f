"""Named plugins, found through entry points and loaded only when asked for."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

from .errors import UnknownNameError, UserError

T = TypeVar("T")


class Registry(Generic[T]):
    """The plugins of one entry point group; built-in ones are registered in the same way."""

    def __init__(self, kind: str, group: str, expected: type) -> None:
        self.kind = kind
        self.group = group
        self.expected = expected

    def _entries(self) -> dict[str, importlib.metadata.EntryPoint]:
        entries: dict[str, importlib.metadata.EntryPoint] = {}
        for entry in importlib.metadata.entry_points(group=self.group):
            other = entries.get(entry.name)
            if other is not None and other.value != entry.value:
                raise UserError(
                    f"two distributions register the {self.kind} '{entry.name}': {other.value} and {entry.value}",
                    "uninstall one of them",
                )
            entries[entry.name] = entry
        return entries

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        return sorted(self._entries())

    def get(self, name: str) -> T:
        """The plugin of that name, imported now.

        Raises UnknownNameError with the near names, UserError if the plugin cannot be imported or is of a wrong type.
        """
        entries = self._entries()
        if name not in entries:
            raise UnknownNameError(self.kind, name, entries)
        entry = entries[name]
        try:
            loaded = entry.load()
        except Exception as error:
            raise UserError(
                f"the {self.kind} '{name}' ({entry.value}) cannot be imported: {type(error).__name__}: {error}",
                "repair or uninstall the distribution that registers it",
            ) from error
        if not isinstance(loaded, self.expected):
            raise UserError(f"{entry.value} is not a {self.expected.__name__}", f"fix the {self.group} entry point")
        if getattr(loaded, "name", name) != name:
            raise UserError(
                f"{entry.value} is registered as '{name}' and calls itself '{getattr(loaded, 'name', '')}'",
                f"give both the same name in the {self.group} entry point and the class",
            )
        return cast("T", loaded)

    def distribution(self, name: str) -> tuple[str, str]:
        """Name and version of the distribution that registers the plugin."""
        found = self._entries()[name].dist
        return (found.name, found.version) if found else ("", "")

    def __iter__(self) -> Iterator[T]:
        for name in self.names():
            yield self.get(name)

"""Reads YAML that a stranger may have written."""

from typing import Any

import yaml


class _Loader(yaml.BaseLoader):
    """PyYAML's loader that makes text, lists and mappings only. It ignores tags, and here it refuses aliases as well.

    A few aliases of aliases can stand for a text of gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


class _StrictLoader(_Loader):
    """The same loader, but it refuses a mapping that has a key twice. Of two values, YAML's readers use one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((key for key in keys if keys.count(key) > 1), ""):
            raise yaml.YAMLError(f"it has the key {twice!r} twice")
        return super().construct_mapping(node, deep)


def load(source: str, *, is_strict: bool = False) -> object:
    """Return a YAML document as text, lists and mappings; raise `yaml.YAMLError` if it cannot be read.

    Args:
        source: The document. The caller limits its length.
        is_strict: Whether a key that a mapping has twice is an error.
    """
    loader = None
    try:
        loader = (_StrictLoader if is_strict else _Loader)(source)
        return loader.get_single_data()
    except (ValueError, TypeError, RecursionError) as error:
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()


def joins_lines(source: str, key: str) -> bool:
    """Whether YAML joins lines in the value of a key of the document, or in an item of that value, as `>` does.

    Args:
        source: A document that `load` can read.
        key: The key of a mapping that is the whole document.
    """
    document = yaml.compose(source, Loader=_Loader)
    pairs = document.value if isinstance(document, yaml.MappingNode) else []
    values = [value for name, value in pairs if name.value == key]
    items = [item for value in values for item in (value.value if isinstance(value, yaml.SequenceNode) else [value])]
    return any(_has_fewer_lines(source, item) for item in items if isinstance(item, yaml.ScalarNode))


def _has_fewer_lines(source: str, scalar: yaml.ScalarNode) -> bool:
    """Whether a text has fewer lines than the part of the document that it comes from. Empty lines do not count."""
    written = source[scalar.start_mark.index : scalar.end_mark.index].splitlines()
    if scalar.style in {"|", ">"}:
        del written[:1]
    return _count(scalar.value.splitlines()) < _count(written)


def _count(lines: list[str]) -> int:
    return sum(1 for line in lines if line.strip())

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

"""Reads YAML that a stranger may have written."""

import yaml


class _Loader(yaml.BaseLoader):
    """PyYAML's loader that makes text, lists and mappings only. It ignores tags, and here it refuses aliases as well.

    A few aliases of aliases can stand for a text of gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def load(source: str) -> object:
    """Return a YAML document as text, lists and mappings; raise `yaml.YAMLError` if it cannot be read.

    The caller limits the length of the document.
    """
    loader = None
    try:
        loader = _Loader(source)
        return loader.get_single_data()
    except (ValueError, TypeError, RecursionError) as error:
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()

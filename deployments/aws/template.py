"""Reads CloudFormation templates from their files, and compares two templates resource by resource."""

from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parents[1] / "cloudformation"


class _Loader(yaml.SafeLoader):
    """A YAML loader that reads the short form of an intrinsic function (`!Ref name`) as the long form (`Ref: name`)."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name: value}


_Loader.add_multi_constructor("!", _intrinsic)


def text(kind: str) -> str:
    """Return the text of the template deployments/cloudformation/<kind>.yaml."""
    return (FOLDER / f"{kind}.yaml").read_text()


def parse(template: str) -> dict[str, Any]:
    """Parse the text of a template; return its contents."""
    parsed: dict[str, Any] = yaml.load(template, _Loader)  # noqa: S506 (a SafeLoader)
    return parsed


def differences(before: str, after: str) -> tuple[str, ...]:
    """Return a line for each resource that is added, removed or changed; no lines if the two templates are equal.

    If the templates differ only outside their resources, return a single line that says so.
    """
    if before == after:
        return ()
    old, new = parse(before)["Resources"], parse(after)["Resources"]
    lines = [
        f"{'+' if name not in old else '-' if name not in new else '~'} {name} ({(new.get(name) or old[name])['Type']})"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    return tuple(lines or ["~ parameters, outputs or comments of the template"])


def resources(template: str) -> tuple[str, ...]:
    """Return a line with the name and the type of each resource of a template."""
    return tuple(f"+ {name} ({resource['Type']})" for name, resource in parse(template)["Resources"].items())

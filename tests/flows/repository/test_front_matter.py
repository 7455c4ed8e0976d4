"""The front matter of Markdown files: what people write, what attackers write, and what is written again."""

import json

import pytest
import yaml

from flows.repository.front_matter import Document, compose, items_of, parse, text_of

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{previous}'] * 9)}]\n"
    for previous, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "fields", "body"),
    [
        ("no front matter", {}, "no front matter"),
        ("---\nname: a\ndescription: b\n---\nBody\n", {"name": "a", "description": "b"}, "Body\n"),
        ("\ufeff---\r\nname: a\r\n---\r\nBody\r\n", {"name": "a"}, "Body\n"),
        ("---\n---\nBody", {}, "Body"),
        ("---\nname: a\n---", {"name": "a"}, ""),
        ("---\nname: a\nwithout an end", {}, "---\nname: a\nwithout an end"),
        ("\n---\nname: a\n---\n", {}, "\n---\nname: a\n---\n"),
        ("---\nn: 1\nb: yes\nd: 2026-01-01\ne:\n---\n", {"n": "1", "b": "yes", "d": "2026-01-01", "e": ""}, ""),
        ("---\nname: first\nname: second\n---\n", {"name": "second"}, ""),
        ("---\na: !!python/object/apply:os.system [id]\n---\n", {"a": ["id"]}, ""),
        ("---\n<<: {x: 1}\n---\n", {"<<": {"x": "1"}}, ""),
        ("---\nargument-hint: [file] [line]\ntools: [A, B]\n---\n",
         {"argument-hint": "[file] [line]", "tools": "[A, B]"}, ""),
        ('---\ndescription: Use it: "always"\nname: "x"\n---\n', {"description": 'Use it: "always"', "name": "x"}, ""),
    ],
)  # fmt: skip
def test_what_is_read(text: str, fields: dict[str, object], body: str) -> None:
    assert parse(text) == Document(fields, body)


@pytest.mark.parametrize(
    "source",
    [
        "- a list",
        "one text",
        "{{{",
        "[" * 20_000,
        "- " * 10_000,
        "a: b\n\tc: d",
        "? [a]\n: b",
        "%TAG ! x\n",
        "a: 'no end",
        "x" * 40_000,
        "- \x00",
        "--- a\n... \n--- b",
    ],
    ids=["list", "text", "braces", "deep", "nested", "tab", "key", "directive", "quote", "long", "nul", "many"],
)  # fmt: skip
def test_what_is_no_mapping_is_not_readable_and_the_body_stays(source: str) -> None:
    assert parse(f"---\n{source}\n---\nBody") == Document({}, "Body", is_readable=False)


@pytest.mark.parametrize(
    "source", [BOMB, "a: &x y\nb: *x\n", "a: &x {b: c}\nd: {<<: *x}\n"], ids=["bomb", "alias", "merge"]
)
def test_aliases_stay_text(source: str) -> None:
    fields = parse(f"---\n{source}---\nBody").fields
    assert all(isinstance(value, str) for value in fields.values())
    assert sum(len(value) for value in fields.values()) < len(source)


def test_values_become_text_or_lists_of_text() -> None:
    values: list[object] = ["a", ["a", "b"], {"a": "b"}, None, 3]
    assert [text_of(value) for value in values] == ["a", "a, b", "", "", ""]
    values = ["a, b,,", [" a ", {}, "b"], {}, 3]
    assert [items_of(value) for value in values] == [["a", "b"], ["a", "b"], [], []]


@pytest.mark.parametrize("value", ["plain", 'a "quote": yes', "é \\ # [x]", "- x", "!!str x", "*a &b"])
def test_what_is_written_is_read_again_by_any_loader(value: str) -> None:
    text = compose({"name": "n", "description": value}, "---\nhooks: x\n---\nBody")
    assert parse(text) == Document({"name": "n", "description": value}, "---\nhooks: x\n---\nBody")
    assert yaml.safe_load(text.split("---\n")[1]) == {"name": "n", "description": value}
    assert json.dumps(value, ensure_ascii=False) in text

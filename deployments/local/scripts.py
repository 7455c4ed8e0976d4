"""The scripts of the demo's model. They contain real tool calls, which the real Claude Code executes."""

from typing import Final

from deployments.local.scripted_model import Script, Tool, Turn

_API: Final = '''\
"""The operations of the API, each as a function that returns a status and a body."""

from dataclasses import asdict

from todo.store import Store


def list_todos(store: Store) -> tuple[int, list[dict]]:
    """List all things to do."""
    return 200, [asdict(todo) for todo in store.todos.values()]


def create_todo(store: Store, title: str) -> tuple[int, dict]:
    """Add a todo; the status is 400 for an empty title."""
    if not title.strip():
        return 400, {"error": "the title is empty"}
    return 201, asdict(store.add(title))


def delete_todo(store: Store, todo_id: int) -> tuple[int, dict]:
    """Remove a todo; the status is 404 if there is none with this id."""
    if todo_id not in store.todos:
        return 404, {"error": f"no todo {todo_id}"}
    return 200, asdict(store.todos.pop(todo_id))
'''

_TESTS: Final = """\
import unittest

from todo import api
from todo.store import Store


class TestApi(unittest.TestCase):
    def setUp(self):
        self.store = Store()

    def test_create_and_list(self):
        tea = {"id": 1, "title": "tea", "done": False}
        self.assertEqual(api.create_todo(self.store, "tea"), (201, tea))
        self.assertEqual(api.list_todos(self.store), (200, [tea]))

    def test_create_refuses_an_empty_title(self):
        self.assertEqual(api.create_todo(self.store, " ")[0], 400)
{more}

if __name__ == "__main__":
    unittest.main()
"""

_MISSING_TEST: Final = """
    def test_delete(self):
        api.create_todo(self.store, "tea")
        self.assertEqual(api.delete_todo(self.store, 1)[0], 200)
        self.assertEqual(api.delete_todo(self.store, 7), (404, {"error": "no todo 7"}))
"""

_STRIP: Final = "sed -i.old 's/store.add(title)/store.add(title.strip())/' todo/api.py && rm todo/api.py.old"
_CHECKS: Final = "python3 -B -m unittest 2>&1 && python3 checks/every_function_has_a_test.py"

_OVERVIEW: Final = r"""
{
  echo "# Code overview"
  echo
  echo "$(git ls-files | wc -l) files, $(git ls-files -z | xargs -0 cat 2>/dev/null | wc -l) lines."
  printf '\n## Kinds\n\n| extension | files |\n|---|---|\n'
  git ls-files | sed -nE 's/.*(\.[A-Za-z0-9]+)$/\1/p' | sort | uniq -c | sort -rn | head -10 |
    awk '{print "| `" $2 "` | " $1 " |"}'
  printf '\n## Largest files\n\n| file | bytes |\n|---|---|\n'
  git ls-tree -r -l HEAD | sort -k4 -rn | head -10 | awk '{print "| `" $5 "` | " $4 " |"}'
  printf '\n## Top-level directories\n\n'
  git ls-tree -d --name-only HEAD | while read -r d; do echo "- \`$d/\`: $(git ls-files -- "$d" | wc -l) files"; done
} > CODE_OVERVIEW.md && head -5 CODE_OVERVIEW.md
"""

_DATE: Final = r"""printf '\nThe last commit is of %s.\n' "$(git log -1 --format=%cs)" >> CODE_OVERVIEW.md"""

_UNKNOWN: Final = """\
# Written by a scripted model

This run went through every step that a real run takes, with the real Claude Code. Only the model behind it is a script:
it knows only the instructions of `make demo`, so it did not follow yours.

To have your instructions carried out, use a real model: run `make demo MODEL=real` with ANTHROPIC_API_KEY, or with AWS
credentials for Amazon Bedrock, in the environment.
"""


def todo_api() -> Script:
    """Return the script that carries out the sample instructions in the sample repository.

    It forgets a test, so that the verification fails, and writes the test as soon as it is told what failed. When a
    reviewer asks for more, it changes a line, and answers.
    """
    return Script(
        instructions_hold="the operations of `api-spec.yaml`",
        turns=(
            Turn(
                "I will read the specification and the examples first.",
                (
                    Tool("Read", {"file_path": "{instructions}/api-spec.yaml"}),
                    Tool(
                        "Bash", {"command": "cat {instructions}/examples/*.json todo/store.py", "description": "Read"}
                    ),
                ),
            ),
            Turn(
                "Now I will write the operations and their tests.",
                (
                    Tool("Write", {"file_path": "{cwd}/todo/api.py", "content": _API}),
                    Tool("Write", {"file_path": "{cwd}/tests/test_api.py", "content": _TESTS.replace("{more}", "")}),
                ),
            ),
            Turn(
                "Now I will run all tests.",
                (Tool("Bash", {"command": "python3 -B -m unittest -v 2>&1", "description": "Test"}),),
            ),
            Turn(
                "`todo/api.py` has the three operations of `api-spec.yaml`; their results match `examples/`. "
                "All tests pass. `todo/store.py` is unchanged.",
                answer={"title": "Implement the three operations of the todo API"},
            ),
            Turn(
                "The check is right: I forgot the test of `delete_todo`.",
                (Tool("Read", {"file_path": "{cwd}/tests/test_api.py"}),),
                needs=("no test calls delete_todo",),
            ),
            Turn(
                "Now I will add it, and run both checks.",
                (
                    Tool(
                        "Write",
                        {
                            "file_path": "{cwd}/tests/test_api.py",
                            "content": _TESTS.replace("{more}", _MISSING_TEST),
                        },
                    ),
                    Tool("Bash", {"command": _CHECKS, "description": "Check"}),
                ),
            ),
            Turn("`tests/test_api.py` now tests all three operations, and both checks pass."),
            Turn(
                "Ada is right. I will strip the title, and run both checks.",
                (Tool("Bash", {"command": f"cd {{cwd}} && {_STRIP} && {_CHECKS}", "description": "Strip the title"}),),
                needs=("Strip the title",),
            ),
            Turn(
                "`create_todo` stores titles without the white space around them.",
                answer={
                    "title": "Strip the titles of todos",
                    "replies": [{"comment": 1, "text": "The title is stripped before it is stored.", "changed": True}],
                },
            ),
        ),
    )


def overview() -> Script:
    """Return the script that writes an overview of any repository: its size, its largest files and its directories."""
    return Script(
        instructions_hold="`CODE_OVERVIEW.md`",
        turns=(
            Turn(
                "I will count the files and lines of this repository.",
                (Tool("Bash", {"command": _OVERVIEW, "description": "Count"}),),
            ),
            Turn(
                "`CODE_OVERVIEW.md` describes this repository: its files, their kinds, and its directories.",
                answer={"title": "Describe the repository"},
            ),
            Turn(
                "I will add the date.",
                (Tool("Bash", {"command": f"cd {{cwd}} && {_DATE}", "description": "Add the date"}),),
                needs=("the date of the last commit",),
            ),
            Turn(
                "`CODE_OVERVIEW.md` has the date of the last commit.",
                answer={
                    "title": "Add the date to the overview",
                    "replies": [{"comment": 1, "text": "The date is in the last line.", "changed": True}],
                },
            ),
        ),
    )


def unknown_instructions() -> Script:
    """Return the script for instructions that the model does not know. It only writes a file that explains this."""
    return Script(
        turns=(
            Turn(
                "I do not know these instructions.",
                (Tool("Write", {"file_path": "{cwd}/SCRIPTED_MODEL.md", "content": _UNKNOWN}),),
            ),
            Turn(
                "I am the demo's scripted model, and I know only the demo's own instructions. I did not follow these "
                "instructions; `SCRIPTED_MODEL.md` says how to use a real model."
            ),
        )
    )

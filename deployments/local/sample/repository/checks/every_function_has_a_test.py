"""Fails if no test calls one of the public functions."""

import ast
import sys
from pathlib import Path

tests = "\n".join(file.read_text() for file in Path("tests").glob("test_*.py"))
missing = [
    f"{file}: no test calls {node.name}"
    for file in sorted(Path("todo").glob("*.py"))
    for node in ast.walk(ast.parse(file.read_text()))
    if isinstance(node, ast.FunctionDef) and f".{node.name}(" not in tests
]
print("\n".join(missing) or "every function has a test")
sys.exit(1 if missing else 0)

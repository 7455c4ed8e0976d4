"""The list itself."""

from dataclasses import dataclass, field


@dataclass
class Todo:
    """One thing to do."""

    id: int
    title: str
    done: bool = False


@dataclass
class Store:
    """All things to do, in the order they were added."""

    todos: dict[int, Todo] = field(default_factory=dict)

    def add(self, title: str) -> Todo:
        """Add a thing to do."""
        todo = Todo(len(self.todos) + 1, title)
        self.todos[todo.id] = todo
        return todo

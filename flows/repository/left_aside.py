"""Finds and saves work that the agent left outside its work tree.

Work can be in branches, in commits that no branch has, in the stash, and in other work trees. All these places are
searched before a run reports that the agent changed nothing.
"""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from flows.repository.agent_commit import Commit, tree_of
from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.repository.checkout_refs import checkout_commits
from flows.repository.clone import Checkout
from flows.repository.collection import SECTION_END
from flows.repository.git_commands import isolated_environment
from flows.repository.setup_files import SetupFiles, agent_tree
from flows.repository.submodule_checkout import submodule_trees
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

REF_PREFIX: Final = "refs/heads/left-aside/"
"""The prefix of the refs, in the saved bundle, of work that is not part of the change."""

_MAX_PLACES: Final = 50
_NO_TREE: Final = "none"
_END_SECTION: Final = r"printf '\000\000\000'"
_COMMIT_ID: Final = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
_DEFAULT_PLACE: Final = "a commit that no branch has"


@dataclass(frozen=True)
class LeftAside:
    """One piece of the agent's work that is not part of the change."""

    place: str
    """Where the work was found, in words, such as "the branch mine"."""
    ref: str = ""
    """The ref in the saved bundle that has the work; empty if the work is not saved."""
    is_ignored: bool = False
    """Whether the work consists of ignored files. Agents often create such files, and people rarely want them."""
    paths: tuple[str, ...] = ()
    """The paths of ignored files, at most 200; empty for other work."""

    @property
    def branch(self) -> str:
        """The name of the branch `ref`; empty if the work is not saved."""
        return self.ref.removeprefix("refs/heads/")


@dataclass(frozen=True)
class FoundWork:
    """The work that `find_work` found outside the work tree."""

    left_aside: tuple[LeftAside, ...] = ()
    chosen_tree: str = ""
    """The id of the git tree to deliver instead of the work tree's files; empty to deliver the work tree's files."""
    chosen_ref: str = ""
    """The ref of the saved commit that has `chosen_tree`; empty if no such commit was saved."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Survey:
    """The commits and work trees in the agent's repository that may contain work."""

    head_ref: str
    head: str
    places: dict[str, str]
    """By the id of each commit that may contain work: a description of where the commit was found."""
    work_trees: tuple[tuple[str, str], ...]
    """For each work tree other than the run's own: its path, and the commit that is checked out in it."""


@dataclass
class _Candidate:
    commit: str
    place: str
    tree: str = ""
    descends: bool = False
    """Whether the commit is a descendant of the base."""
    is_known: bool = False
    """Whether the original checkout, or the HEAD of the agent's repository, already contains this work."""


def find_work(workspace: Workspace, repository: Path, checkout: Checkout, commit: Commit) -> FoundWork:
    """Find the work outside the work tree, and save it in `repository` under refs that begin with `REF_PREFIX`.

    Args:
        workspace: The run's directories.
        repository: A temporary repository, from `create_repository`. It can read the agent's objects.
        checkout: The commit and branch that the work started from.
        commit: The commit that was made of the work tree.

    Raises:
        GitFailed: The agent's repository is damaged.
    """
    survey = _survey(workspace, checkout)
    candidates = [_Candidate(id_, place) for id_, place in list(survey.places.items())[:_MAX_PLACES]]
    candidates += _work_trees(workspace, repository, survey)
    trees = submodule_trees(workspace, repository, commit.submodules)
    by_setup = SetupFiles.load(workspace).submodules
    submodules = [
        _Candidate("", f"the submodule {path}", tree) for path, tree in trees.items() if by_setup.get(path) != tree
    ]
    if not candidates and not submodules and survey.head in {"", checkout.base_commit}:
        return FoundWork()
    base_tree, head_tree, head_is_other = _examine(workspace, repository, checkout, survey, candidates)
    is_on_own_branch = survey.head_ref == f"refs/heads/{checkout.branch}"
    is_elsewhere = head_is_other and not is_on_own_branch
    is_looking_around = is_elsewhere and commit.tree == head_tree
    is_unchanged = is_looking_around or commit.tree == base_tree
    work = [
        candidate
        for candidate in candidates
        if not candidate.is_known and candidate.tree not in {base_tree, commit.tree}
    ]
    work = list({candidate.tree: candidate for candidate in reversed(work)}.values())
    if is_unchanged and len(work) == 1 and work[0].descends:
        chosen, *rest = _save(workspace, repository, checkout, [*work, *submodules])
        note = f"the work tree was unchanged, so the change is the work in {work[0].place}"
        return FoundWork(tuple(rest), chosen_tree=work[0].tree, chosen_ref=chosen.ref, notes=(note,))
    if not (is_unchanged or is_on_own_branch) and _builds_on_other_commit(workspace, repository, checkout, survey.head):
        # As a change of the base, these files would undo all that the history of HEAD lacks.
        place = survey.head_ref.removeprefix("refs/heads/") or f"commit {survey.head[:12]}"
        own = _Candidate("", f"the work tree, on top of {place}", commit.tree)
        left_aside = _save(workspace, repository, checkout, [own, *work, *submodules])
        return FoundWork(tuple(left_aside), chosen_tree=base_tree)
    return FoundWork(
        left_aside=tuple(_save(workspace, repository, checkout, [*work, *submodules])),
        chosen_tree=base_tree if is_looking_around else "",
    )


def commits_elsewhere(workspace: Workspace, checkout: Checkout) -> tuple[str, ...]:
    """Return the commits in the agent's repository that `find_work` would look at, other than HEAD and the base."""
    return tuple(_survey(workspace, checkout).places)


def _survey(workspace: Workspace, checkout: Checkout) -> _Survey:
    git = shlex.join(work_tree_command(workspace))
    commands = (
        "symbolic-ref -q HEAD",
        "rev-parse -q --verify 'HEAD^{commit}'",
        f"for-each-ref --format='{_COMMIT_ID} %(refname)'",
        "reflog show --format='%H %gs' HEAD",
        "reflog show --format=%H refs/stash",
        "worktree list --porcelain -z",
    )
    # In a repository that git cannot read, each of the commands would find nothing.
    readable = f"{git} rev-parse --git-dir >/dev/null || exit"
    script = "\n".join([readable, *(f"{git} {command} 2>/dev/null || :\n{_END_SECTION}" for command in commands)])
    output = run_as_agent(workspace, ["sh", "-c", script]).stdout
    head_ref, head, refs, log, stash, work_trees = (
        part.decode("utf-8", "surrogateescape").strip("\n") for part in output.split(SECTION_END)[: len(commands)]
    )
    known = {*checkout_commits(workspace), head, checkout.base_commit, *SetupFiles.load(workspace).commits}
    places = dict[str, str]()
    for id_, place in (*_ref_places(refs), *_stash_places(stash), *_detached_places(log)):
        if id_ not in known:
            places.setdefault(id_, place)
    return _Survey(head_ref, head, places, tuple(_other_work_trees(work_trees, workspace.work_tree)))


def _ref_places(refs: str) -> Iterator[tuple[str, str]]:
    for line in refs.split("\n"):
        id_, _, ref = line.partition(" ")
        if ref.startswith("refs/heads/"):
            yield id_, f"the branch {ref.removeprefix('refs/heads/')}"
        elif ref.startswith("refs/tags/"):
            yield id_, f"the tag {ref.removeprefix('refs/tags/')}"
        elif not ref.startswith(("refs/remotes/", "refs/stash")):
            yield id_, ref


def _stash_places(stash: str) -> Iterator[tuple[str, str]]:
    for number, id_ in enumerate(stash.split()):
        yield id_, f"the stash entry {number}"


def _detached_places(log: str) -> Iterator[tuple[str, str]]:
    """Yield, with a description, each commit that HEAD was at before the agent checked out something else.

    Commits that HEAD left by `git reset` or `git commit --amend` are not included, because the agent discarded them.
    """
    lines = [line.partition(" ") for line in log.split("\n")]
    for (_, _, action), (id_before, _, _) in pairwise(lines):
        if action.startswith("checkout:"):
            yield id_before, _DEFAULT_PLACE


def _other_work_trees(listing: str, work_tree: Path) -> Iterator[tuple[str, str]]:
    for record in listing.split("\0\0"):
        fields = dict(row.partition(" ")[::2] for row in record.split("\0") if row)
        path = fields.get("worktree", "")
        if path and "prunable" not in fields and Path(path) != work_tree and "HEAD" in fields:
            yield path, fields["HEAD"]


def _work_trees(workspace: Workspace, repository: Path, survey: _Survey) -> Iterator[_Candidate]:
    for path, head in survey.work_trees:
        tree = tree_of(workspace, repository, Path(path))
        yield _Candidate(head, f"the work tree {path}", tree)


def _examine(
    workspace: Workspace, repository: Path, checkout: Checkout, survey: _Survey, candidates: Sequence[_Candidate]
) -> tuple[str, str, bool]:
    """Set the fields `tree`, `descends` and `is_known` of each candidate.

    Returns:
        The id of the base's tree, the id of HEAD's tree, and whether HEAD is a commit that the checkout already had,
        other than the base.
    """
    git = shlex.join(work_tree_command(workspace, repository))
    base, head = checkout.base_commit, survey.head or checkout.base_commit
    new = _new_commits(workspace, repository, {head, *(candidate.commit for candidate in candidates)})
    script = [f"{git} rev-parse {base}^{{tree}} {head}^{{tree}}"]
    for candidate in candidates:
        id_ = candidate.commit
        script += [
            f"{git} rev-parse -q --verify {id_}^{{tree}} || echo {_NO_TREE}",
            *(
                f"{git} merge-base --is-ancestor {pair} 2>/dev/null && echo yes || echo no"
                for pair in (f"{id_} {head}", f"{base} {id_}")
            ),
        ]
    base_tree, head_tree, *rows = run_as_agent(workspace, ["sh", "-c", "\n".join(script)]).text.split("\n")
    for candidate, (tree, in_head, descends) in zip(candidates, _groups(rows, 3), strict=True):
        candidate.tree = candidate.tree or tree
        is_as_committed = candidate.tree == tree
        if candidate.tree != _NO_TREE:
            candidate.tree = agent_tree(workspace, repository, base, candidate.tree).tree
        candidate.descends = descends == "yes"
        is_old = candidate.commit not in new or in_head == "yes"
        # The files in another work tree may differ from the commit that is checked out there.
        candidate.is_known = candidate.tree in {_NO_TREE, head_tree} or (is_old and is_as_committed)
    return base_tree, head_tree, head not in new and head != base


def _new_commits(workspace: Workspace, repository: Path, commits: Iterable[str]) -> set[str]:
    """Return the commits that the agent made: those that no ref of the original checkout reaches."""
    lines = _history(workspace, repository, commits)
    return set(commits) - checkout_commits(workspace) if lines is None else {line for line in lines if line[0] != "-"}


def _builds_on_other_commit(workspace: Workspace, repository: Path, checkout: Checkout, head: str) -> bool:
    """Return whether `head` has commits of the original checkout in its history, but not the base.

    An empty `head`, which is a branch without a commit, has no history.
    """
    if not head:
        return False
    git = work_tree_command(workspace, repository)
    line = ["sh", "-c", 'if "$@"; then echo yes; else echo no; fi', "sh"]
    ancestry = [*line, *git, "merge-base", "--is-ancestor", checkout.base_commit, head]
    if run_as_agent(workspace, ancestry).text.strip() == "yes":
        return False
    lines = _history(workspace, repository, [head])
    return lines is None or not lines or any(line[0] == "-" for line in lines)


def _history(workspace: Workspace, repository: Path, commits: Iterable[str]) -> list[str] | None:
    """Return the commits in the history of `commits` that the original checkout lacks.

    Among them are, after a `-`, those commits of the checkout that the others build on. Return None if git cannot tell,
    because the agent fetched a history in part.
    """
    with TemporaryFile() as rows:
        excluded = (f"^{id_}" for id_ in checkout_commits(workspace))
        rows.write("".join(f"{row}\n" for row in (*commits, *excluded)).encode())
        rows.seek(0)
        git = [*work_tree_command(workspace, repository), "rev-list", "--boundary", "--ignore-missing", "--stdin"]
        result = commands.run(workspace, git, environment=isolated_environment(workspace.agent_variables), stdin=rows)
    return None if result.status else result.text.split()


def _groups(rows: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(rows), size):
        yield tuple(rows[start : start + size])


def _save(workspace: Workspace, repository: Path, checkout: Checkout, work: Sequence[_Candidate]) -> list[LeftAside]:
    """Save each piece of work as a commit on top of the base, under a ref of its own, and return the saved pieces."""
    if not work:
        return []
    git = shlex.join([*work_tree_command(workspace, repository), "-c", "user.name=agent", "-c", "user.email=a@b"])
    script = ["set -e"]
    for number, candidate in enumerate(work, start=1):
        message = shlex.quote(f"Left aside: {candidate.place}")
        commit = f"{git} commit-tree {candidate.tree} -p {checkout.base_commit} -m {message}"
        script.append(f"{git} update-ref {REF_PREFIX}{number} $({commit})")
    run_as_agent(workspace, ["sh", "-c", "\n".join(script)])
    return [LeftAside(candidate.place, f"{REF_PREFIX}{number}") for number, candidate in enumerate(work, start=1)]

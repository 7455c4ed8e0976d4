"""Builds the whole prompt of one process of Claude Code: the task, why finished work is continued, and the rules."""

from collections.abc import Sequence

from flows.agent.command import Session
from flows.agent.feedback import Feedback
from flows.agent.follow_up import FollowUp
from flows.agent.prompt import (
    LOST_CONVERSATION,
    continuation,
    policy_rules,
    prompt,
    repository_instructions,
    running_services,
    verification_rules,
)
from flows.agent.repair import Repair
from flows.parameters.change_policy import ChangePolicy
from flows.sandbox.workspace import Workspace
from flows.state.records import Plan

Request = Repair | Feedback | FollowUp
"""Why an agent continues work that was finished."""


def whole_prompt(task: str, services: str, commands: Sequence[str], plan: Plan, policy: ChangePolicy) -> str:
    """Return the prompt of one process: the task, the repository's instructions, its checks and the rules.

    A resumed session gets all of them again. They may have changed, and its conversation may have been summarized.
    """
    memory = repository_instructions(plan.checkout.project_memory)
    parts = (task, running_services(services), memory, verification_rules(commands), policy_rules(policy))
    return "\n".join(part for part in parts if part)


def task_of(workspace: Workspace, plan: Plan, session: Session, request: Request | None, *, is_continued: bool) -> str:
    """Return the part of the prompt that says what to do; in a session without interruption, only the request."""
    paths = (workspace.work_tree, workspace.instructions)
    if session.resumes and is_continued:
        task = continuation(*paths)
    elif session.resumes:
        task = request.introduction(*paths, is_same_session=True) if isinstance(request, FollowUp) else ""
        task = task if request else continuation(*paths)
    else:
        instructions = plan.instructions
        task = prompt(workspace.instructions, instructions.main, instructions.main_text, instructions.other_paths)
        if isinstance(request, FollowUp):
            task += f"\n{request.introduction(*paths, is_same_session=False)}"
            task += f"\n{LOST_CONVERSATION}" if is_continued else ""
        else:
            task += f"\n{LOST_CONVERSATION}" if is_continued or request else ""
    return "\n".join(filter(None, (task, request.request if request else "")))

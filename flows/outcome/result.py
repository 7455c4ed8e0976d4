"""How a run ended: what it returns, and all that there is to report of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.agent.outcome import AgentReport
from flows.forges.links import Links, Pushed, links
from flows.instructions.files import Instructions
from flows.outcome.timing import StepTime
from flows.parameters.addresses import RepoUrl
from flows.parameters.change_policy import ChangePolicy
from flows.repository.clone import Checkout
from flows.repository.collect import Change


@dataclass(frozen=True)
class Delivery:
    """What a run returns: where the work is. `commit` is empty where there was nothing to change."""

    repo_url: str
    branch: str
    commit: str
    files: tuple[str, ...]
    cost_usd: float
    turns: int
    summary: str


@dataclass(frozen=True)
class Ending:
    """All that is known of a run at its end; the earlier it failed the less that is."""

    flow_run_id: str
    deployment: str = ""
    """Name of the deployment, without the flow's; empty where the run has none."""
    repo_url: RepoUrl | None = None
    model: str = ""
    checkout: Checkout | None = None
    instructions: Instructions | None = None
    change: Change | None = None
    patch: str = ""
    agent: AgentReport | None = None
    steps: tuple[StepTime, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    """Where the run's keepings are, by name."""
    policy: ChangePolicy = field(default_factory=ChangePolicy)
    warnings: tuple[str, ...] = ()
    error: BaseException | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether it was stopped from outside: cancelled, suspended, or told to end with its machine."""
        return self.error is not None and not isinstance(self.error, Exception)

    @property
    def commit(self) -> str:
        """The commit that the agent's work is, pushed or not."""
        return self.change.commit if self.change else ""

    @property
    def name(self) -> str:
        """How it ended, in a word: `delivered`, `no-changes`, `failed` or `interrupted`."""
        if self.is_interrupted:
            return "interrupted"
        return "failed" if self.error else "delivered" if self.commit else "no-changes"

    @property
    def links(self) -> Links:
        """The repository's pages; of a branch that is there."""
        if self.repo_url is None:
            return Links("")
        if self.checkout is None or self.name != "delivered":
            return Links(links(self.repo_url, Pushed("", "")).repository)
        base = "" if self.checkout.continues else self.checkout.base_branch
        return links(self.repo_url, Pushed(self.checkout.branch, self.commit, base))


def title(ending: Ending) -> str:
    """Say the outcome in a few words."""
    if ending.is_interrupted:
        return "Interrupted"
    if ending.error:
        return f"Failed: {type(ending.error).__name__}"
    if ending.change is None or not ending.commit:
        return "Nothing to change"
    count = len(ending.change.files)
    return f"Pushed {count} file{'s' if count != 1 else ''}"


def headline(ending: Ending) -> str:
    """Say the outcome in one line, with the branch."""
    branch = ending.checkout.branch if ending.checkout else ""
    if ending.name == "delivered":
        return f"{title(ending)} to {branch} as {ending.commit[:12]}"
    return title(ending) if ending.error else f"{title(ending)}: {branch} was not pushed"

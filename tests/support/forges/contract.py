"""The contract between this program and the forges: each request that it may send, as a table.

A body's schema is closed: an unknown field is a violation, as a misspelt one would be ignored by a real forge. A name
that ends in `!` is required.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from deployments.local.loopback import ReceivedRequest


@dataclass(frozen=True)
class Route:
    """One request. `path` is below the root of the API; `published` is the path in the forge's description."""

    method: str
    path: str
    published: str
    query: frozenset[str] = frozenset()
    body: Mapping[str, Any] | None = None
    unpublished: frozenset[str] = frozenset()
    """Fields and parameters that the real API has, and the pull_request description lacks."""

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the variables in the path; None if this is not the route of the request."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        match = re.fullmatch(pattern, path) if method == self.method else None
        return match.groupdict() if match else None


@dataclass(frozen=True)
class Contract:
    """All requests to one forge, and the headers that each must have."""

    headers: Mapping[str, str]
    """Regular expressions of the headers' values."""
    routes: tuple[Route, ...] = field(default=())

    def check(self, request: ReceivedRequest, root: str, body: Any) -> tuple[Route | None, dict[str, str], list[str]]:  # noqa: ANN401 (JSON)
        """Return the route of a request, the variables in its path, and what is wrong with it."""
        parts = urlsplit(request.path)
        faults = [
            f"header {name} is {request.headers.get(name)!r}"
            for name, pattern in {**self.headers, "accept-encoding": "identity", "user-agent": ".+"}.items()
            if not re.fullmatch(pattern, request.headers.get(name, ""))
        ]
        path = parts.path.removeprefix(root)
        for route in self.routes:
            if (variables := route.match(request.method, path)) is not None:
                unknown = parse_qs(parts.query, keep_blank_values=True).keys() - route.query
                faults += [f"unknown parameter {name}" for name in sorted(unknown)]
                return route, variables, faults + body_faults(route.body, body)
        return None, {}, [*faults, f"no route {request.method} {path}"]


def body_faults(schema: Any, value: Any, where: str = "body") -> list[str]:  # noqa: ANN401 (JSON)
    """Return what is wrong with a JSON value."""
    if not isinstance(schema, dict):
        return _value_faults(schema, value, where)
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    fields = {name.rstrip("!"): each for name, each in schema.items()}
    faults = [f"{where} has the unknown field {name}" for name in value.keys() - fields.keys()]
    faults += [f"{where} lacks {name[:-1]}" for name in schema if name.endswith("!") and name[:-1] not in value]
    return faults + [
        fault for name in value.keys() & fields.keys() for fault in body_faults(fields[name], value[name], name)
    ]


def _value_faults(schema: Any, value: Any, where: str) -> list[str]:  # noqa: ANN401 (JSON)
    match schema:
        case list():
            if isinstance(value, list):
                return [fault for each in value for fault in body_faults(schema[0], each, f"{where}[]")]
            is_right = False
        case frozenset():
            is_right = value in schema
        case None:
            is_right = value is None
        case _:
            is_right = type(value) is schema
    return [] if is_right else [f"{where} is {value!r}"]


def add_prefix(base: str, published: str, *rows: Route) -> tuple[Route, ...]:
    return tuple(
        Route(r.method, base + r.path, published + (r.published or r.path), r.query, r.body, r.unpublished)
        for r in rows
    )


_TEXT: Final = {"title!": str, "body!": str}
_STATUS: Final = {"context!": str, "description!": str, "target_url": str}
_REVIEWERS: Final = {"reviewers!": [str], "team_reviewers!": [str]}

GITHUB: Final = Contract(
    {"accept": r"application/vnd\.github\+json", "x-github-api-version": "2022-11-28"},
    add_prefix(
        "/repos/{owner}/{repo}",
        "/repos/{owner}/{repo}",
        Route("GET", "/pulls", "", frozenset({"state", "head", "sort", "direction", "per_page"})),
        Route("POST", "/pulls", "", body={**_TEXT, "head!": str, "base!": str, "draft!": bool}),
        Route("GET", "/pulls/{number}", "/pulls/{pull_number}"),
        Route("PATCH", "/pulls/{number}", "/pulls/{pull_number}", body=_TEXT),
        Route("POST", "/issues/{number}/labels", "/issues/{issue_number}/labels", body={"labels!": [str]}),
        Route(
            "POST",
            "/pulls/{number}/requested_reviewers",
            "/pulls/{pull_number}/requested_reviewers",
            body=_REVIEWERS,
        ),
        Route(
            "POST",
            "/statuses/{sha}",
            "",
            body={**_STATUS, "state!": frozenset({"pending", "success", "failure", "error"})},
        ),
    ),
)

GITLAB: Final = Contract(
    {"accept": "application/json"},
    (
        *add_prefix(
            "/projects/{id}",
            "/projects/{id}",
            Route("GET", "/merge_requests", "", frozenset({"source_branch", "order_by", "sort", "per_page"})),
            Route(
                "POST",
                "/merge_requests",
                "",
                body={"title!": str, "description!": str, "source_branch!": str, "target_branch!": str},
            ),
            Route("GET", "/merge_requests/{number}", "/merge_requests/{merge_request_iid}"),
            Route(
                "PUT",
                "/merge_requests/{number}",
                "/merge_requests/{merge_request_iid}",
                body={"title": str, "description": str, "add_labels": str, "reviewer_ids": [int]},
            ),
            Route(
                "POST",
                "/statuses/{sha}",
                "",
                body={
                    "name!": str,
                    "description!": str,
                    "target_url": str,
                    "state!": frozenset({"pending", "running", "success", "failed", "canceled"}),
                },
            ),
        ),
        # The pull_request description has no list of users; python-gitlab documents it.
        Route("GET", "/users", "", frozenset({"username"})),
    ),
)

GITEA: Final = Contract(
    {"accept": "application/json"},
    add_prefix(
        "/repos/{owner}/{repo}",
        "/repos/{owner}/{repo}",
        Route("GET", "/pulls", "", frozenset({"state", "sort", "limit"})),
        Route("POST", "/pulls", "", body={**_TEXT, "head!": str, "base!": str}),
        Route("GET", "/pulls/{number}", "/pulls/{index}"),
        Route("GET", "/pulls/{base}/{head}", ""),
        Route("PATCH", "/pulls/{number}", "/pulls/{index}", body=_TEXT),
        Route("GET", "/labels", "", frozenset({"page", "limit"})),
        Route("POST", "/issues/{number}/labels", "/issues/{index}/labels", body={"labels!": [int]}),
        Route("POST", "/pulls/{number}/requested_reviewers", "/pulls/{index}/requested_reviewers", body=_REVIEWERS),
        Route(
            "POST",
            "/statuses/{sha}",
            "",
            body={**_STATUS, "state!": frozenset({"pending", "success", "error", "failure", "warning"})},
        ),
    ),
)

_BRANCH: Final = {"branch!": {"name!": str}}
_UUIDS: Final = [{"uuid!": str}]

BITBUCKET: Final = Contract(
    {"accept": "application/json"},
    add_prefix(
        "/repositories/{owner}/{repo}",
        "/repositories/{workspace}/{repo_slug}",
        Route(
            "GET",
            "/pullrequests",
            "",
            frozenset({"state", "q", "sort", "pagelen"}),
            unpublished=frozenset({"q", "sort", "pagelen"}),
        ),
        Route(
            "POST",
            "/pullrequests",
            "",
            body={
                "title!": str,
                "description!": str,
                "source!": _BRANCH,
                "destination!": _BRANCH,
                "draft!": bool,
                "close_source_branch": bool,
            },
            unpublished=frozenset({"description", "draft"}),
        ),
        Route("GET", "/pullrequests/{number}", "/pullrequests/{pull_request_id}"),
        Route(
            "PUT",
            "/pullrequests/{number}",
            "/pullrequests/{pull_request_id}",
            body={"title!": str, "description!": str, "reviewers!": _UUIDS},
            unpublished=frozenset({"description"}),
        ),
        Route(
            "POST",
            "/commit/{sha}/statuses/build",
            "/commit/{commit}/statuses/build",
            body={
                "key!": str,
                "name!": str,
                "description!": str,
                "url!": str,
                "state!": frozenset({"INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"}),
            },
        ),
    ),
)

_AZURE: Final = frozenset({"api-version"})
_CRITERIA: Final = frozenset(f"searchCriteria.{name}" for name in ("status", "sourceRefName"))

AZURE: Final = Contract(
    {"accept": "application/json"},
    add_prefix(
        "/{project}/_apis/git/repositories/{repo}",
        "/{organization}/{project}/_apis/git/repositories/{repositoryId}",
        Route("GET", "/pullrequests", "", _AZURE | _CRITERIA | {"$top"}),
        Route(
            "POST",
            "/pullrequests",
            "",
            _AZURE,
            {"sourceRefName!": str, "targetRefName!": str, "title!": str, "description!": str, "isDraft!": bool},
        ),
        Route("GET", "/pullrequests/{number}", "/pullrequests/{pullRequestId}", _AZURE),
        Route(
            "PATCH",
            "/pullrequests/{number}",
            "/pullrequests/{pullRequestId}",
            _AZURE,
            {"title!": str, "description!": str},
        ),
        Route(
            "POST",
            "/pullRequests/{number}/labels",
            "/pullRequests/{pullRequestId}/labels",
            _AZURE,
            {"name!": str},
        ),
        Route(
            "PUT",
            "/pullRequests/{number}/reviewers/{reviewer}",
            "/pullRequests/{pullRequestId}/reviewers/{reviewerId}",
            _AZURE,
            {"vote!": int},
        ),
        Route(
            "POST",
            "/commits/{sha}/statuses",
            "/commits/{commitId}/statuses",
            _AZURE,
            {
                "description!": str,
                "targetUrl": str,
                "context!": {"name!": str, "genre!": str},
                "state!": frozenset({"pending", "succeeded", "failed", "error", "notApplicable", "notSet"}),
            },
        ),
    ),
)

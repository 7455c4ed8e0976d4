"""The part of the contract about reviews and issues: each request that this program may send to read or write them."""

from typing import Any, Final

from tests.support.forges.contract import AZURE, BITBUCKET, GITEA, GITHUB, GITLAB, Contract, Route, add_prefix

_BODY: Final = {"body!": str}
_PAGES: Final = frozenset({"page", "per_page"})
_LIMITS: Final = frozenset({"page", "limit"})
_LENGTHS: Final = frozenset({"page", "pagelen", "sort"})
"""Bitbucket documents these parameters for all lists, and the description has no list with them."""


def _contract(contract: Contract, *routes: Route) -> Contract:
    """Return the contract with more routes, before one of Gitea that has names of branches in its path."""
    return Contract(contract.headers, (*routes, *contract.routes))


GITHUB_REVIEWS: Final = _contract(
    GITHUB,
    Route("POST", "/api/graphql", "", body={"query!": str, "variables!": dict}),  # see `github_graphql`
    *add_prefix(
        "/repos/{owner}/{repo}",
        "/repos/{owner}/{repo}",
        Route("GET", "/collaborators/{login}/permission", "/collaborators/{username}/permission"),
        Route(
            "POST",
            "/pulls/{number}/comments/{comment}/replies",
            "/pulls/{pull_number}/comments/{comment_id}/replies",
            body=_BODY,
        ),
        Route("POST", "/issues/{number}/comments", "/issues/{issue_number}/comments", body=_BODY),
        Route("PATCH", "/issues/comments/{comment}", "/issues/comments/{comment_id}", body=_BODY),
        Route("GET", "/issues/{number}", "/issues/{issue_number}"),
        Route("GET", "/commits/{commit}/statuses", "/commits/{ref}/statuses", _PAGES),
    ),
    # The cut description lacks this one: https://docs.github.com/rest/checks/runs
    Route("GET", "/repos/{owner}/{repo}/commits/{commit}/check-runs", "", _PAGES | {"filter"}),
)

_REQUEST: Final = "/merge_requests/{merge_request_iid}"

GITLAB_REVIEWS: Final = _contract(
    GITLAB,
    Route("GET", "/user", "/user"),
    *add_prefix(
        "/projects/{id}",
        "/projects/{id}",
        Route("GET", "/members/all/{user}", "/members/all/{user_id}"),
        Route("GET", "/merge_requests/{number}/discussions", f"{_REQUEST}/discussions", _PAGES),
        Route(
            "POST",
            "/merge_requests/{number}/discussions/{discussion}/notes",
            f"{_REQUEST}/discussions/{{discussion_id}}/notes",
            body=_BODY,
        ),
        Route("POST", "/merge_requests/{number}/notes", f"{_REQUEST}/notes", body=_BODY),
        Route("GET", "/issues/{number}", "/issues/{issue_iid}"),
        Route("GET", "/issues/{number}/notes", "/issues/{issue_iid}/notes", _PAGES | {"sort", "order_by"}),
        Route("POST", "/issues/{number}/notes", "/issues/{issue_iid}/notes", body=_BODY),
    ),
    # The description by hand lacks these two; recorded answers have them.
    Route("PUT", "/projects/{id}/merge_requests/{number}/notes/{comment}", "", body=_BODY),
    Route("GET", "/projects/{id}/repository/commits/{commit}/statuses", "", _PAGES),
)

GITEA_REVIEWS: Final = _contract(
    GITEA,
    Route("GET", "/user", "/user"),
    *add_prefix(
        "/repos/{owner}/{repo}",
        "/repos/{owner}/{repo}",
        Route("GET", "/collaborators/{login}/permission", "/collaborators/{collaborator}/permission"),
        Route("GET", "/assignees", ""),
        Route("GET", "/issues/{number}", "/issues/{index}"),
        Route("GET", "/issues/{number}/comments", "/issues/{index}/comments"),
        Route("POST", "/issues/{number}/comments", "/issues/{index}/comments", body=_BODY),
        Route("PATCH", "/issues/comments/{comment}", "/issues/comments/{id}", body=_BODY),
        Route("GET", "/pulls/{number}/reviews", "/pulls/{index}/reviews", _LIMITS),
        Route("GET", "/pulls/{number}/reviews/{review}/comments", "/pulls/{index}/reviews/{id}/comments"),
        Route(
            "POST",
            "/pulls/{number}/reviews/{review}/comments",
            "/pulls/{index}/reviews/{id}/comments",
            body={"path!": str, "new_position": int, "old_position": int, **_BODY},
        ),
        Route("GET", "/statuses/{commit}", "/statuses/{sha}", _LIMITS),
    ),
)

_RAW: Final[dict[str, Any]] = {"content!": {"raw!": str}}
_COMMENTS: Final = "/pullrequests/{pull_request_id}/comments"

BITBUCKET_REVIEWS: Final = _contract(
    BITBUCKET,
    Route("GET", "/user", "/user"),
    *add_prefix(
        "/repositories/{owner}/{repo}",
        "/repositories/{workspace}/{repo_slug}",
        Route("GET", "/pullrequests/{number}/comments", _COMMENTS, _LENGTHS, unpublished=_LENGTHS),
        Route("POST", "/pullrequests/{number}/comments", _COMMENTS, body={**_RAW, "parent": {"id!": int}}),
        Route("PUT", "/pullrequests/{number}/comments/{comment}", f"{_COMMENTS}/{{comment_id}}", body=_RAW),
        Route("GET", "/issues/{number}", "/issues/{issue_id}"),
        Route("GET", "/issues/{number}/comments", "/issues/{issue_id}/comments", _LENGTHS, unpublished=_LENGTHS),
        Route("POST", "/issues/{number}/comments", "/issues/{issue_id}/comments", body=_RAW),
    ),
    # The cut description lacks this list of all statuses.
    Route("GET", "/repositories/{owner}/{repo}/commit/{commit}/statuses", "", _LENGTHS - {"sort"}),
)

_VERSION: Final = frozenset({"api-version"})
_COMMENT: Final[dict[str, Any]] = {"content!": str, "parentCommentId!": int, "commentType!": frozenset({"text"})}
_THREADS: Final = "/pullRequests/{pullRequestId}/threads"

AZURE_REVIEWS: Final = _contract(
    AZURE,
    Route("GET", "/_apis/connectionData", "", _VERSION),  # in no description; Microsoft's own clients use it
    *add_prefix(
        "/{project}/_apis/git/repositories/{repo}",
        "/{organization}/{project}/_apis/git/repositories/{repositoryId}",
        Route("GET", "/pullRequests/{number}/threads", _THREADS, _VERSION),
        Route(
            "POST",
            "/pullRequests/{number}/threads",
            _THREADS,
            _VERSION,
            {"comments!": [_COMMENT], "status!": frozenset({"closed"})},
        ),
        Route(
            "POST",
            "/pullRequests/{number}/threads/{thread}/comments",
            f"{_THREADS}/{{threadId}}/comments",
            _VERSION,
            _COMMENT,
        ),
        Route(
            "GET",
            "/commits/{commit}/statuses",
            "/commits/{commitId}/statuses",
            _VERSION | {"latestOnly", "top"},
        ),
    ),
    # The cut description lacks this one.
    Route(
        "PATCH",
        "/{project}/_apis/git/repositories/{repo}/pullRequests/{number}/threads/{thread}/comments/{comment}",
        "",
        _VERSION,
        {"content!": str},
    ),
    # These are in another description, which mixes two requests for the list of comments.
    Route("GET", "/{project}/_apis/wit/workitems/{number}", "", _VERSION),
    Route("POST", "/{project}/_apis/wit/workItems/{number}/comments", "", _VERSION, {"text!": str}),
    Route(
        "GET",
        "/{project}/_apis/wit/workItems/{number}/comments",
        "",
        _VERSION | {"$top", "order", "continuationToken"},
    ),
)

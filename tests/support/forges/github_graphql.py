"""The part of GitHub's GraphQL API that this program uses, as a schema that answers from a stand-in's state."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import graphql

_PAGE_LIMIT: Final = 100

SCHEMA: Final = graphql.build_schema("""
scalar DateTime
scalar URI
interface Actor { login: String! }
type User implements Actor { databaseId: Int login: String! }
type Bot implements Actor { databaseId: Int login: String! }
type Mannequin implements Actor { login: String! }
type PageInfo { hasPreviousPage: Boolean! startCursor: String }
interface Node { id: ID! }

type IssueComment implements Node {
  id: ID! url: URI! body: String! createdAt: DateTime! lastEditedAt: DateTime author: Actor isMinimized: Boolean!
}
type IssueCommentConnection { nodes: [IssueComment] pageInfo: PageInfo! }

enum PullRequestReviewState { APPROVED CHANGES_REQUESTED COMMENTED DISMISSED PENDING }
type PullRequestReview implements Node {
  id: ID! url: URI! body: String! createdAt: DateTime! lastEditedAt: DateTime author: Actor
  state: PullRequestReviewState! submittedAt: DateTime
}
type PullRequestReviewConnection { nodes: [PullRequestReview] pageInfo: PageInfo! }

enum PullRequestReviewCommentState { PENDING SUBMITTED }
type PullRequestReviewComment implements Node {
  id: ID! url: URI! body: String! createdAt: DateTime! lastEditedAt: DateTime author: Actor isMinimized: Boolean!
  state: PullRequestReviewCommentState! pullRequestReview: PullRequestReview
}
type PullRequestReviewCommentConnection { nodes: [PullRequestReviewComment] pageInfo: PageInfo! }

type PullRequestReviewThread implements Node {
  id: ID! isResolved: Boolean! isOutdated: Boolean! path: String! line: Int originalLine: Int
  comments(first: Int, last: Int, before: String): PullRequestReviewCommentConnection!
}
type PullRequestReviewThreadConnection { nodes: [PullRequestReviewThread] pageInfo: PageInfo! }

type PullRequest {
  comments(first: Int, last: Int, before: String): IssueCommentConnection!
  reviews(first: Int, last: Int, before: String): PullRequestReviewConnection
  reviewThreads(first: Int, last: Int, before: String): PullRequestReviewThreadConnection!
}
enum IssueState { CLOSED OPEN }
type Issue {
  title: String! state: IssueState! body: String! createdAt: DateTime! lastEditedAt: DateTime author: Actor
  updatedAt: DateTime!
  comments(first: Int, last: Int, before: String): IssueCommentConnection!
}
type Repository { pullRequest(number: Int!): PullRequest issue(number: Int!): Issue }
type Query {
  repository(owner: String!, name: String!): Repository
  node(id: ID!): Node
  viewer: User!
}
""")

Resolver = Callable[..., Any]
Info = graphql.GraphQLResolveInfo[Any]


def execute(query: str, variables: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a query. The fields of `root` are values, or functions of the field's arguments."""
    try:
        document = graphql.parse(query)
    except graphql.GraphQLSyntaxError as error:
        return {"errors": [{"message": error.message}]}
    if errors := graphql.validate(SCHEMA, document):
        return {"errors": [{"message": error.message} for error in errors]}
    result = graphql.execute_sync(SCHEMA, document, root, variable_values=variables)
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        if result.data is None and not any(error.extensions for error in result.errors):  # wrong variables
            return {"errors": [{"message": error.message} for error in result.errors]}
        kinds: list[str | None] = [(error.extensions or {}).get("type") for error in result.errors]
        messages = [error.message for error in result.errors]
        answer["errors"] = [
            {**({"type": kind} if kind else {}), "message": message}
            for kind, message in zip(kinds, messages, strict=True)
        ]
    return answer


def missing(thing: str, number: object) -> graphql.GraphQLError:
    """Return GitHub's error for a thing that does not exist."""
    return graphql.GraphQLError(f"Could not resolve to {thing} {number}.", extensions={"type": "NOT_FOUND"})


def connection(nodes: Sequence[Any]) -> Resolver:
    """Return the resolver of a list with pages."""

    def resolve(
        _info: Info, first: int | None = None, last: int | None = None, before: str | None = None
    ) -> dict[str, Any]:
        size = first or last or 0
        if not 1 <= size <= _PAGE_LIMIT:
            raise graphql.GraphQLError(f"Requesting {size} records exceeds the limit of {_PAGE_LIMIT} records.")
        end = min(first, len(nodes)) if first else int(before) if before else len(nodes)
        start = max(0, end - size)
        page = nodes[start:end]
        return {"nodes": page, "pageInfo": {"hasPreviousPage": start > 0, "startCursor": str(start) if page else None}}

    return resolve

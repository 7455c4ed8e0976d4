"""Holds the queries to GitHub's GraphQL API (https://docs.github.com/graphql), which alone tells what is resolved."""

from typing import Final

_PAGE: Final = "pageInfo { hasNextPage endCursor }"
_TEXT: Final = """
      body createdAt lastEditedAt
      author { __typename login ... on User { databaseId } ... on Bot { databaseId } }"""
_WRITTEN: Final = f"databaseId {_TEXT}"

VIEWER: Final = "query { viewer { databaseId login } }"

CONVERSATION: Final = f"""
query(
  $owner: String!, $name: String!, $number: Int!, $size: Int!,
  $comments: String, $reviews: String, $reviewThreads: String,
  $withComments: Boolean!, $withReviews: Boolean!, $withReviewThreads: Boolean!
) {{
  repository(owner: $owner, name: $name) {{
    pullRequest(number: $number) {{
      comments(first: $size, after: $comments) @include(if: $withComments) {{
        nodes {{ isMinimized {_WRITTEN} }}
        {_PAGE}
      }}
      reviews(first: $size, after: $reviews) @include(if: $withReviews) {{
        nodes {{ state submittedAt {_WRITTEN} }}
        {_PAGE}
      }}
      reviewThreads(first: $size, after: $reviewThreads) @include(if: $withReviewThreads) {{
        nodes {{
          id isResolved isOutdated path line originalLine
          comments(first: $size) {{
            nodes {{ isMinimized state pullRequestReview {{ submittedAt }} {_WRITTEN} }}
            {_PAGE}
          }}
        }}
        {_PAGE}
      }}
    }}
  }}
}}
"""
"""The conversation of a pull request. Each of its three lists has pages of its own."""

THREAD: Final = f"""
query($thread: ID!, $size: Int!, $after: String) {{
  node(id: $thread) {{
    ... on PullRequestReviewThread {{
      comments(first: $size, after: $after) {{
        nodes {{ isMinimized state pullRequestReview {{ submittedAt }} {_WRITTEN} }}
        {_PAGE}
      }}
    }}
  }}
}}
"""
"""The further comments of one thread."""

ISSUE: Final = f"""
query($owner: String!, $name: String!, $number: Int!, $size: Int!, $comments: String) {{
  repository(owner: $owner, name: $name) {{
    issue(number: $number) {{
      title state updatedAt {_TEXT}
      comments(first: $size, after: $comments) {{
        nodes {{ isMinimized {_WRITTEN} }}
        {_PAGE}
      }}
    }}
  }}
}}
"""
"""An issue and its comments. The REST API does not tell when its text was edited."""

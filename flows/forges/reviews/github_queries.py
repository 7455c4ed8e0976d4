"""Holds the queries to GitHub's GraphQL API (https://docs.github.com/graphql), which alone tells what is resolved."""

from typing import Final

_PAGE: Final = "pageInfo { hasPreviousPage startCursor }"
_TEXT: Final = """
      body createdAt lastEditedAt
      author { __typename login ... on User { databaseId } ... on Bot { databaseId } }"""
_WRITTEN: Final = f"url {_TEXT}"

VIEWER: Final = "query { viewer { databaseId login } }"

CONVERSATION: Final = f"""
query(
  $owner: String!, $name: String!, $number: Int!, $size: Int!,
  $comments: String, $reviews: String, $reviewThreads: String,
  $withComments: Boolean!, $withReviews: Boolean!, $withReviewThreads: Boolean!
) {{
  repository(owner: $owner, name: $name) {{
    pullRequest(number: $number) {{
      comments(last: $size, before: $comments) @include(if: $withComments) {{
        nodes {{ isMinimized {_WRITTEN} }}
        {_PAGE}
      }}
      reviews(last: $size, before: $reviews) @include(if: $withReviews) {{
        nodes {{ state submittedAt {_WRITTEN} }}
        {_PAGE}
      }}
      reviewThreads(last: $size, before: $reviewThreads) @include(if: $withReviewThreads) {{
        nodes {{
          id isResolved isOutdated path line originalLine
          begin: comments(first: 1) {{ nodes {{ url }} }}
          comments(last: $size) {{
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
"""The conversation of a pull request, from its end. Each of its three lists has pages of its own."""

THREAD: Final = f"""
query($thread: ID!, $size: Int!, $before: String) {{
  node(id: $thread) {{
    ... on PullRequestReviewThread {{
      comments(last: $size, before: $before) {{
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
      comments(last: $size, before: $comments) {{
        nodes {{ isMinimized {_WRITTEN} }}
        {_PAGE}
      }}
    }}
  }}
}}
"""
"""An issue and its comments. The REST API does not tell when its text was edited."""

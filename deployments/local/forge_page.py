"""The page of a pull request on the local forge, as a reviewer sees it: title, branches, status and rendered text."""

import re
from html import escape
from typing import Final

from markdown_it import MarkdownIt

HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
}
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_DRAFT: Final = "WIP: "
_STYLE: Final = """
body { margin: 0; background: #f6f8fa; color: #1f2328; font: 16px/1.5 sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem }
h1 { margin: 0; font-size: 1.7rem; font-weight: 500 }
h1 small { color: #59636e; font-weight: 400 }
article, footer { margin-top: 1rem; padding: .5rem 1.5rem; background: #fff }
article, footer { border: 1px solid #d1d9e0; border-radius: 6px }
b { padding: .2rem .8rem; border-radius: 1rem; background: #1f883d; color: #fff; font-weight: 500 }
code { padding: .15em .35em; border-radius: 4px; background: #eff1f3; font-size: .85em; overflow-wrap: anywhere }
pre { padding: 1rem; border-radius: 6px; background: #f6f8fa; white-space: pre-wrap }
pre code { padding: 0; background: none }
blockquote { margin: 0; padding: 0 1rem; border-left: 4px solid #d1d9e0; color: #59636e }
"""


def page(number: int, title: str, body: str, branches: tuple[str, str], statuses: dict[str, str]) -> bytes:
    """Return the page as HTML.

    Args:
        number: The number of the pull request.
        title: Its title, with the mark by which the forge recognises a draft.
        body: Its text, as Markdown. No HTML in it is live.
        branches: The branch with the commits, and the branch to merge into.
        statuses: The states of the newest commit's statuses, by their names.
    """
    head, base = (f"<code>{escape(branch)}</code>" for branch in branches)
    state, name = ("Draft" if title.startswith(_DRAFT) else "Open"), escape(title.removeprefix(_DRAFT))
    text = MarkdownIt("commonmark", {"html": False}).render(_COMMENT.sub("", body))
    checks = "".join(f"<p>{escape(check)}: {escape(result)}</p>" for check, result in statuses.items())
    return (
        f'<!doctype html><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style><main>'
        f"<h1>{name} <small>#{number}</small></h1><p><b>{state}</b> &ensp;{head} into {base}</p>"
        f"<article>{text}</article>{f'<footer>{checks}</footer>' if checks else ''}</main>"
    ).encode()

"""The shapes of tokens, private keys and passwords, for secrets whose values are not known."""

import re
from typing import Final

from flows.redaction.literals import Literals

TOKEN_SHAPES: Final = (
    re.compile(r"gh[pousr]_[A-Za-z0-9]{30,255}"),
    re.compile(r"github_pat_[A-Za-z0-9_]{22,255}"),
    re.compile(r"gl(?:pat|oas|rt|cbt|dt|ptt)-[A-Za-z0-9_.-]{20,255}"),
    re.compile(r"AT(?:BB|CTT3)[A-Za-z0-9_=-]{20,300}"),
    re.compile(r"A(?:KIA|SIA)[A-Z2-7]{16}"),
    re.compile(r"sk-ant-[A-Za-z0-9_-]{16,300}"),
    re.compile(r"pn[ub]_[A-Za-z0-9]{30,64}"),
    re.compile(r"xox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    re.compile(r"eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"),
    re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-\"]{20,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"),
)
"""Tokens of GitHub, GitLab, Bitbucket, AWS, Anthropic, Prefect and Slack, JSON web tokens, and private keys.

The patterns are not joined into one: each begins with fixed characters, which the regular expression engine finds fast.
"""

_SHAPES: Final = (
    *TOKEN_SHAPES,
    re.compile(r"(?P<before>://)[^\s/:@\"'\\]{1,256}:[^\s/@\"'\\]{1,1024}(?P<after>@)"),
    re.compile(r"(?P<before>uthorization: (?:[Bb]asic|[Bb]earer) )[^\s\"'\\]{8,4000}"),
)

_BEGINNINGS: Final = (
    ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    ("github_pat_",),
    ("glpat-", "gloas-", "glrt-", "glcbt-", "gldt-", "glptt-"),
    ("ATBB", "ATCTT3"),
    ("AKIA", "ASIA"),
    ("sk-ant-",),
    ("pnu_", "pnb_"),
    ("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"),
    ("eyJ",),
    ("-----BEGIN ",),
    ("://",),
    ("uthorization: ",),
)
"""The possible beginnings of a match, for each shape. One pass over a text finds them all, while the patterns would
need one pass each."""

_SHAPES_BY_BEGINNING: Final = {
    beginning.encode(): shape
    for shape, beginnings in zip(_SHAPES, _BEGINNINGS, strict=True)
    for beginning in beginnings
}
_ALL_BEGINNINGS: Final = Literals(_SHAPES_BY_BEGINNING)


def shapes_in(content: bytes) -> list[re.Pattern[str]]:
    """Return the shapes that may match in `content`, in the order in which to redact them."""
    shapes = {_SHAPES_BY_BEGINNING[beginning] for beginning in _ALL_BEGINNINGS.found_in(content)}
    return [shape for shape in _SHAPES if shape in shapes]

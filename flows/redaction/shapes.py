"""Finds text that looks like a secret, by the patterns of tokens, private keys and passwords.

The patterns find secrets whose values are not known. They work on bytes, and read each byte a bounded number of times,
so no text can make the search slow.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ahocorasick_rs import Implementation

from flows.redaction.literals import OverlappingLiterals


@dataclass(frozen=True)
class Shape:
    """The pattern of one kind of secret."""

    kind: str
    beginnings: tuple[bytes, ...]
    """The fixed strings with which a match can begin. One pass over a text searches for those of all kinds of
    secrets."""
    pattern: re.Pattern[bytes]
    """The regular expression that matches. If it has a group named `secret`, only this group of a match is the
    secret."""
    lead: int = 0
    """How many bytes of a match come before its fixed string."""
    is_token: bool = True
    """Whether a match is a reason not to push a file. False for patterns that often match mere examples."""
    confirms: Callable[[bytes], bool] = bool
    """Returns whether a match is a secret. The pattern itself could check this only by reading bytes many times."""

    @property
    def group(self) -> str | int:
        """The name of the group that is the secret; 0 if the whole match is the secret."""
        return "secret" if "secret" in self.pattern.groupindex else 0


@dataclass(frozen=True)
class Finding:
    """A part of a text that looks like a secret."""

    shape: Shape
    start: int
    end: int
    value: bytes


_START: Final = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})|(?<=[0-9\[]m))"
"""Matches the start of a word. A word may also start after a JSON escape, a percent-encoded character or a terminal's
colour code. This is needed for tokens whose beginning also occurs within words, such as `sk-` in `task-`."""

_TOKENS: Final = (
    # kind, beginnings, what follows them, whether the beginning must start a word
    ("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{30,}+", False),
    ("a GitHub token", "github_pat_", r"[A-Za-z0-9_]{22,}+", False),
    ("a GitLab token", "glpat- gloas- glrt- glrtr- glcbt- gldt- glptt- glft- glagent- glsoat- glimt- glffct-",
     r"[A-Za-z0-9_.-]{20,}+", True),
    ("an Atlassian token", "ATATT3 ATCTT3 ATBB", r"[A-Za-z0-9_=-]{20,}+", False),
    ("an AWS access key", "AKIA ASIA", r"[A-Z2-7]{16}", False),
    ("an Amazon Bedrock API key", "ABSK", r"[A-Za-z0-9+/]{60,}+=*+", False),
    ("an Amazon Bedrock API key", "bedrock-api-key-", r"[A-Za-z0-9+/_-]{20,}+=*+", False),
    ("an Anthropic API key", "sk-ant-", r"[A-Za-z0-9_-]{16,}+", True),
    ("an OpenAI API key", "sk-proj- sk-svcacct- sk-admin- sk-None-", r"[A-Za-z0-9_-]{20,}+", True),
    ("an API key", "sk-or-v1-", r"[0-9a-f]{40,}+", False),
    ("an API key", "sk-", r"(?=[A-Za-z]{0,40}[0-9])(?=[0-9]{0,40}[A-Za-z])[A-Za-z0-9]{32,}+", True),
    ("a Groq API key", "gsk_", r"[A-Za-z0-9]{40,}+", False),
    ("an xAI API key", "xai-", r"[A-Za-z0-9]{60,}+", True),
    ("a Replicate token", "r8_", r"[A-Za-z0-9]{36,}+", True),
    ("a Perplexity API key", "pplx-", r"[A-Za-z0-9]{40,}+", False),
    ("a Google API key", "AIza", r"[A-Za-z0-9_-]{35,}+", False),
    ("a Google OAuth token", "ya29.", r"[A-Za-z0-9_-]{20,}+", True),
    ("a Google OAuth client secret", "GOCSPX-", r"[A-Za-z0-9_-]{28,}+", False),
    ("a Hugging Face token", "hf_ api_org_", r"[A-Za-z0-9]{30,}+", True),
    ("an npm token", "npm_", r"[A-Za-z0-9]{36,}+", False),
    ("a PyPI token", "pypi-AgE", r"[A-Za-z0-9_-]{50,}+", False),
    ("a RubyGems API key", "rubygems_", r"[0-9a-f]{48,}+", False),
    ("a Docker token", "dckr_pat_ dckr_oat_", r"[A-Za-z0-9_-]{20,}+", False),
    ("a Shopify token", "shpat_ shpca_ shppa_ shpss_ shprt_", r"[0-9a-fA-F]{32,}+", False),
    ("a Stripe key", "sk_live_ rk_live_ sk_org_live_", r"[A-Za-z0-9]{20,}+", False),
    ("a Stripe webhook secret", "whsec_", r"[A-Za-z0-9+/]{24,}+=*+", True),
    ("a Square token", "sq0csp- sq0atp-", r"[A-Za-z0-9_-]{22,}+", False),
    ("a Slack token", "xoxa- xoxb- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp- xwfp-",
     r"(?=[A-Za-z.-]{0,60}[0-9])[A-Za-z0-9.-]{10,}+", True),
    ("a Slack webhook", "hooks.slack.com/services/T hooks.slack.com/workflows/T",
     r"[A-Za-z0-9]{8,}+/[A-Za-z0-9]{8,}+/[A-Za-z0-9/]{16,}+", False),
    ("a Discord webhook", "discord.com/api/webhooks/ discordapp.com/api/webhooks/", r"[0-9]{16,}+/[A-Za-z0-9_-]{60,}+",
     False),
    ("a SendGrid API key", "SG.", r"[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}+", True),
    ("a Mailgun API key", "key-", r"[0-9a-f]{32}(?![A-Za-z0-9])", True),
    ("a Twilio API key", "SK", r"[0-9a-f]{32}(?![A-Za-z0-9])", True),
    ("a Discord token", "MT MD Mj Mz ND NT Nj Nz OD OT",
     r"[A-Za-z0-9_-]{22,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}+", True),
    ("a Brevo API key", "xkeysib-", r"[0-9a-f]{64}-[A-Za-z0-9]{10,}+", False),
    ("a DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"[0-9a-f]{60,}+", False),
    ("a Databricks token", "dapi", r"[0-9a-f]{32}(?:-[0-9])?(?![A-Za-z0-9])", True),
    ("a Vault token", "hvs. hvb. hvr.", r"[A-Za-z0-9_-]{24,}+", True),
    ("a Pulumi token", "pul-", r"[0-9a-f]{40}(?![A-Za-z0-9])", True),
    ("a Doppler token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", r"[A-Za-z0-9_.-]{40,}+", True),
    ("a Linear API key", "lin_api_ lin_oauth_", r"[A-Za-z0-9]{32,}+", False),
    ("a Notion token", "ntn_", r"[A-Za-z0-9]{40,}+", True),
    ("a Postman API key", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}", False),
    ("a Grafana token", "glsa_", r"[A-Za-z0-9]{32}_[0-9a-fA-F]{8}", False),
    ("a Grafana token", "glc_eyJ", r"[A-Za-z0-9+/=]{40,}+", False),
    ("a New Relic key", "NRAK- NRRA- NRII-", r"[A-Za-z0-9_-]{27,}+", False),
    ("a Sentry token", "sntrys_ sntryu_", r"[A-Za-z0-9+/=_]{60,}+", False),
    ("a Heroku token", "HRKU-", r"[A-Za-z0-9_-]{36,}+", False),
    ("a Supabase token", "sbp_ sb_secret_", r"[A-Za-z0-9_-]{30,}+", True),
    ("a PlanetScale token", "pscale_tkn_ pscale_pw_ pscale_oauth_", r"[A-Za-z0-9_.=-]{32,}+", False),
    ("a Figma token", "figd_", r"[A-Za-z0-9_-]{36,}+", False),
    ("an Airtable token", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}", True),
    ("a Netlify token", "nfp_", r"[A-Za-z0-9]{36,}+", False),
    ("a Buildkite token", "bkua_", r"[0-9a-f]{40,}+", False),
    ("a CircleCI token", "CCIPAT_ CCIPRJ_", r"[A-Za-z0-9]{22}_[0-9a-f]{40}", False),
    ("a Fly.io token", "fm2_ fm1r_ fm1a_ fo1_", r"[A-Za-z0-9+/=_-]{40,}+", True),
    ("a Tailscale key", "tskey-", r"[a-z]{3,10}-[A-Za-z0-9]{8,}+(?:-[A-Za-z0-9]{16,}+)?", False),
    ("a Dynatrace token", "dt0c01. dt0s01. dt0s16.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}", False),
    ("a JFrog token", "AKCp", r"[A-Za-z0-9]{60,}+", False),
    ("a Prefect API key", "pnu_ pnb_", r"[A-Za-z0-9]{30,}+", True),
    ("an Azure storage key", "AccountKey=", r"[A-Za-z0-9+/]{80,}+=*+", False),
    ("an age key", "AGE-SECRET-KEY-1", r"[02-9AC-HJ-NP-Z]{58}", False),
    ("an OpenAI API key", "T3BlbkFJ", r"[A-Za-z0-9_-]{20,}+", False),
    ("an AWS secret key", "aws_secret_access_key AWS_SECRET_ACCESS_KEY SecretAccessKey secretAccessKey",
     r"[\\\"']{0,4}\s{0,4}[:=]>?\s{0,4}[\\\"']{0,4}(?P<secret>(?![A-Za-z_]+\b)[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
     False),
)  # fmt: skip


def _token_shape(kind: str, beginnings: str, rest: str, *, starts_word: bool) -> Shape:
    literals = tuple(word.encode() for word in beginnings.split())
    either = b"|".join(map(re.escape, sorted(literals, key=len, reverse=True)))
    return Shape(kind, literals, re.compile((_START if starts_word else b"") + b"(?:" + either + b")" + rest.encode()))


def _is_json_web_token(word: bytes) -> bool:
    """Return whether a second JSON object and a signature, both encoded, follow the first JSON object in `word`."""
    return b".eyJ" in word and bool(_CLAIMS_AND_SIGNATURE.search(word))


def _is_user_with_secret(user: bytes) -> bool:
    """Return whether `user`, the part of an address before the `@`, contains a password or is a token itself."""
    name, _, password = user.partition(b":")
    if name and password:
        return True
    has_both = re.search(rb"[0-9]", name) and re.search(rb"[A-Za-z]", name)
    return bool(has_both and _TOKEN_AS_USER.fullmatch(name) and len(set(name)) >= _LETTERS_OF_A_TOKEN)


_CLAIMS_AND_SIGNATURE: Final = re.compile(rb"\.eyJ[A-Za-z0-9_-]{7,}+\.[A-Za-z0-9_-]{10}")
_TOKEN_AS_USER: Final = re.compile(rb"[A-Za-z0-9_]{20,}+")
_LETTERS_OF_A_TOKEN: Final = 10
"""The minimum number of different characters in a token. A name such as `x0000000000000000000000` has fewer."""

_BREAK: Final = rb"""(?:\s|\\+[nrt]|\\+$|[\\"'+,>|;#*()]|\\*u000[aAdD]|&#1[03];|<br ?/?>)"""
"""Matches what can be between two lines of a private key: a line break, plain or escaped, or punctuation of a
programming language."""

_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:" + _BREAK + rb"{0,40}+[A-Za-z-]{4,20}: [^\r\n\\\"']{0,200}){0,6}"  # headers of an encrypted key, or of PGP
    rb"" + _BREAK + rb"{0,40}+[A-Za-z0-9+/=]{16,}+"
    rb"(?:" + _BREAK + rb"{0,40}+[A-Za-z0-9+/=]{16,}+)*+"
    rb"(?:" + _BREAK + rb"{0,40}+[A-Za-z0-9+/=]{1,}+){0,2}"
    rb"(?:" + _BREAK + rb"{0,40}+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
    re.MULTILINE,
)


def _authorization(name: bytes) -> Shape:
    """Return the pattern that finds an Authorization header, whether in an HTTP request, in JSON or in source code."""
    pattern = (
        rb"[\\\"']{0,8}\s{0,4}[:=,]>?[\s\[(]{0,4}b?[\\\"']{0,8}"
        rb"(?:(?i:basic|bearer)[ +]{1,2}|(?i:token|apikey)[ +=]{1,2}(?=[^\s\"'\\]{0,40}[0-9]))"
        rb"(?P<secret>[^\s\"'\\<>&]{8,}+)"
    )
    return Shape("an Authorization header", (name,), re.compile(name + pattern), is_token=False)


_PASSES: Final = (
    Shape("a private key", (b"-----BEGIN ",), _PRIVATE_KEY),
    Shape("a JSON web token", (b"eyJ",), re.compile(rb"eyJ[A-Za-z0-9_.-]{30,}+"), confirms=_is_json_web_token),
    Shape(
        "a password in an address",
        (b"://",),
        re.compile(rb"://(?P<secret>[^\s/@\"'\\]++)@"),
        is_token=False,
        confirms=_is_user_with_secret,
    ),
    _authorization(b"uthorization"),
    _authorization(b"UTHORIZATION"),
)
"""Patterns that each need a separate pass over a text, because their beginnings are frequent or their matches may be
long."""

_WITH_LEAD: Final = (
    Shape("a Telegram token", (b":AA",), re.compile(rb"[0-9]{8}:AA[A-Za-z0-9_-]{32,33}(?![A-Za-z0-9_-])"), lead=8),
    Shape("a Mailchimp API key", (b"-us",), re.compile(rb"[0-9a-f]{32}-us[0-9]{1,2}(?![0-9A-Za-z])"), lead=32),
    Shape(
        "a Terraform token", (b".atlasv1.",), re.compile(rb"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}+"), lead=14
    ),
    Shape(
        "an Azure client secret",
        (b"7Q~", b"8Q~"),
        re.compile(rb"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])"),
        lead=3,
    ),
)
"""Patterns of tokens in which other characters come before the fixed string."""

_FOUND_BY_BEGINNING: Final = (
    *(_token_shape(kind, beginnings, rest, starts_word=starts_word) for kind, beginnings, rest, starts_word in _TOKENS),
    *_WITH_LEAD,
)
_BY_BEGINNING: Final = tuple((beginning, shape) for shape in _FOUND_BY_BEGINNING for beginning in shape.beginnings)
_BEGINNINGS: Final = OverlappingLiterals([beginning for beginning, _ in _BY_BEGINNING], Implementation.DFA)

SHAPES: Final = (*_PASSES, *_FOUND_BY_BEGINNING)


def findings_in(content: bytes) -> list[Finding]:
    """Return every part of a text that looks like a secret; empty if there is none. Parts may overlap."""
    findings = []
    for shape in _PASSES:
        if any(beginning in content for beginning in shape.beginnings):
            group, confirms = shape.group, shape.confirms
            matches = (match for match in shape.pattern.finditer(content) if confirms(match[group]))
            findings += [Finding(shape, *match.span(group), match[group]) for match in matches]
    end = 0
    for index, start, _ in _BEGINNINGS.matches(content):
        if start >= end:
            shape = _BY_BEGINNING[index][1]
            if match := shape.pattern.match(content, max(0, start - shape.lead)):
                findings.append(Finding(shape, *match.span(shape.group), match[shape.group]))
                end = match.end()
    return findings

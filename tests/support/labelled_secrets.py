"""Texts with and without secrets, to compare scanners of secrets and to test the one in use.

No secret is real, and none is written out: each run makes the same ones from patterns and a fixed seed. Half of the
kinds were set aside, and looked at only after the choice of a scanner: see docs/adr/0021-secret-scan.md.
"""

import base64
import binascii
import hashlib
import json
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_ALPHANUMERIC: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ALPHABETS: Final = {
    "w": _ALPHANUMERIC,
    "u": _ALPHANUMERIC + "-_",
    "b": _ALPHANUMERIC + "+/",
    "a": string.ascii_lowercase + string.digits,
    "A": string.ascii_uppercase + string.digits,
    "2": string.ascii_uppercase + "234567",
    "3": "023456789ACDEFGHJKLMNPQRSTUVWXYZ",
    "h": "0123456789abcdef",
    "d": string.digits,
}


@dataclass(frozen=True)
class Labelled:
    """A text of one kind, and whether it contains a secret."""

    kind: str
    text: str
    is_secret: bool

    @property
    def is_set_aside(self) -> bool:
        """Whether the kind belongs to the half that had no part in the choice."""
        return hashlib.sha256(self.kind.encode()).digest()[0] % 2 == 1


def _fill(pattern: str, source: random.Random) -> str:
    """Replace each `{w36}` of a pattern by 36 random letters or digits, and so on for the other alphabets."""
    return re.sub(
        r"\{([wubaA23hd])(\d+)\}",
        lambda match: "".join(source.choices(_ALPHABETS[match[1]], k=int(match[2]))),
        pattern,
    )


def _with_checksum(prefix: str) -> Callable[[random.Random], str]:
    """Make tokens as GitHub and npm do: 30 characters, and their CRC-32 in base 62."""

    def make(source: random.Random) -> str:
        body = _fill("{w30}", source)
        number, checksum = binascii.crc32(body.encode()), ""
        for _ in range(6):
            number, digit = divmod(number, 62)
            checksum = _ALPHANUMERIC[digit] + checksum
        return prefix + body + checksum

    return make


def _base64(prefix: str, template: str) -> Callable[[random.Random], str]:
    return lambda source: prefix + base64.b64encode(_fill(template, source).encode()).decode()


def _json_web_token(source: random.Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"sub": _fill("{d12}", source), "iss": "https://id.acme.io", "exp": 1893456000, "scope": "deploy"}
    return f"{part({'alg': 'RS256', 'kid': _fill('{h8}', source)})}.{part(claims)}.{_fill('{u86}', source)}"


def _armoured(label: str, lines: int = 12, header: str = "") -> Callable[[random.Random], str]:
    body = "\n".join(["{b64}"] * lines)
    return lambda source: _fill(f"-----BEGIN {label}-----\n{header}{body}\n{{b22}}==\n-----END {label}-----\n", source)


_SECRETS: Final[dict[str, str | Callable[[random.Random], str]]] = {
    "GitHub personal": _with_checksum("ghp_"),
    "GitHub server": _with_checksum("ghs_"),
    "GitHub fine-grained": "github_pat_{A22}_{w59}",
    "GitLab personal": "glpat-{u20}",
    "GitLab deploy": "gldt-{u20}",
    "GitLab runner": "glrt-{u20}",
    "Atlassian": "ATATT3xFfGF0{u171}={A8}",
    "Bitbucket app password": "ATBB{w28}{A8}",
    "AWS access key id": "AKIA{216}",
    "AWS temporary key id": "ASIA{216}",
    "AWS secret key": 'aws_secret_access_key = "{b40}"',
    "Bedrock API key": _base64("ABSK", "BedrockAPIKey-{a4}-at-{d12}:{b44}"),
    "Bedrock short key": "bedrock-api-key-{b240}",
    "Anthropic": "sk-ant-api03-{u93}AA",
    "OpenAI project": "sk-proj-{u74}T3BlbkFJ{u74}",
    "OpenAI classic": "sk-{w20}T3BlbkFJ{w20}",
    "OpenAI service account": "sk-svcacct-{u74}T3BlbkFJ{u74}",
    "OpenRouter": "sk-or-v1-{h64}",
    "Groq": "gsk_{w52}",
    "xAI": "xai-{w80}",
    "Replicate": "r8_{w37}",
    "Perplexity": "pplx-{w48}",
    "Google API": "AIzaSy{u33}",
    "Google OAuth access": "ya29.a0{u160}",
    "Google OAuth client": "GOCSPX-{u28}",
    "Hugging Face": "hf_{w34}",
    "npm": _with_checksum("npm_"),
    "PyPI": "pypi-AgEIcHlwaS5vcmc{u150}",
    "RubyGems": "rubygems_{h48}",
    "Docker personal": "dckr_pat_{u27}",
    "Docker organization": "dckr_oat_{u32}",
    "Shopify": "shpat_{h32}",
    "Stripe live": "sk_live_{w99}",
    "Stripe restricted": "rk_live_{w99}",
    "Stripe webhook": "whsec_{w32}",
    "Square": "sq0csp-{u43}",
    "Slack bot": "xoxb-{d12}-{d13}-{w24}",
    "Slack app": "xapp-1-A{A10}-{d13}-{h64}",
    "Slack webhook": "https://hooks.slack.com/services/T{A10}/B{A10}/{w24}",
    "Twilio": "SK{h32}",
    "SendGrid": "SG.{u22}.{u43}",
    "Mailchimp": "{h32}-us21",
    "Mailgun": "key-{h32}",
    "Brevo": "xkeysib-{h64}-{w16}",
    "Discord bot": "MT{w22}.G{w5}.{u38}",
    "Telegram bot": "{d10}:AA{u33}",
    "DigitalOcean": "dop_v1_{h64}",
    "Databricks": "dapi{h32}",
    "Vault": "hvs.CAESI{u90}",
    "Terraform Cloud": "{w14}.atlasv1.{u67}",
    "Pulumi": "pul-{h40}",
    "Doppler": "dp.pt.{w43}",
    "Linear": "lin_api_{w40}",
    "Notion": "ntn_{d11}{w35}",
    "Postman": "PMAK-{h24}-{h34}",
    "Grafana service account": "glsa_{w32}_{h8}",
    "Grafana Cloud": "glc_eyJvIjoi{b88}",
    "New Relic": "NRAK-{A27}",
    "Sentry": "sntrys_eyJpYXQiO{b140}_{b43}",
    "Heroku": "HRKU-AA{u58}",
    "Supabase": "sbp_{h40}",
    "PlanetScale": "pscale_tkn_{u43}",
    "Figma": "figd_{u40}",
    "Airtable": "pat{w14}.{h64}",
    "Netlify": "nfp_{w36}",
    "Buildkite": "bkua_{h40}",
    "CircleCI": "CCIPAT_{w22}_{h40}",
    "Fly": "FlyV1 fm2_{b200}",
    "Tailscale": "tskey-auth-k{w11}CNTRL-{w32}",
    "Dynatrace": "dt0c01.{A24}.{A64}",
    "JFrog": "AKCp{w69}",
    "Prefect": "pnu_{w36}",
    "Azure storage": "AccountName=store;AccountKey={b86}==;",
    "Azure client secret": "client_secret: {w3}8Q~{u34}",
    "age key": "AGE-SECRET-KEY-1{358}",
    "JSON web token": _json_web_token,
    "RSA key": _armoured("RSA PRIVATE KEY"),
    "PKCS 8 key": _armoured("PRIVATE KEY"),
    "OpenSSH key": _armoured("OPENSSH PRIVATE KEY", lines=5),
    "EC key": _armoured("EC PRIVATE KEY", lines=3),
    "encrypted PKCS 8 key": _armoured("ENCRYPTED PRIVATE KEY"),
    "encrypted RSA key": _armoured("RSA PRIVATE KEY", header="Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{h32}\n\n"),
    "PGP key": _armoured("PGP PRIVATE KEY BLOCK", header="Version: GnuPG v2\n\n"),
    "service account": lambda source: json.dumps(
        {"type": "service_account", "private_key": _armoured("PRIVATE KEY")(source)}
    ),
}

_CONTEXTS: Final = ("TOKEN={}\n", 'client = connect("{}")\n')

_ORDINARY: Final[dict[str, tuple[str, ...]]] = {
    "header in code": (
        "if '-----BEGIN RSA PRIVATE KEY-----' in text:\n    raise ValueError(path)\n",
        'HEADERS = ("-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----")\n',
    ),
    "elided key": (
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n<your key here>\n-----END OPENSSH PRIVATE KEY-----\n",
    ),
    "placeholder key in YAML": ("key: |\n  -----BEGIN RSA PRIVATE KEY-----\n  REPLACE_ME\n  -----END RSA PRIVATE KEY-----\n",),
    "token of a tutorial": (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "jwt.decode('eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9."
        "TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ', 'secret')",
    ),
    "keys of AWS's documentation": (
        "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    ),
    "crossed out": (
        "GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
        "OPENAI_API_KEY=sk-proj-XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX\n",
        "ANTHROPIC_API_KEY=sk-ant-api03-****************************\n",
    ),
    "your key here": (
        "export GITHUB_TOKEN=ghp_yourPersonalAccessTokenGoesHere12345\n",
        "ANTHROPIC_API_KEY=sk-ant-your-key-here-from-the-console\n",
        "HF_TOKEN=hf_your_token_here\n",
    ),
    "repeated characters": (
        'token = "ghp_" + "a" * 36\n',
        "ghp_000000000000000000000000000000000000\n",
        "npm_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
    ),
    "counted characters": (
        "ghp_1234567890abcdefghijklmnopqrstuvwxyz\n",
        "sk-abcdefghijklmnopqrstuvwxyz123456\n",
        "AIzaSyABCDEFGHIJKLMNOPQRSTUVWXYZ1234567\n",
    ),
    "pattern of tokens": (
        'GITHUB = re.compile(r"gh[pousr]_[A-Za-z0-9]{36}")\n',
        "regex = '(sk-ant-[a-zA-Z0-9_-]{95}|AKIA[0-9A-Z]{16})'\n",
    ),
    "commit": ("uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683\n", "Revert a1b2c3d4e5f60718293a4b5c6d7e8f9012345678\n"),
    "integrity of npm": ('"integrity": "sha512-' + "aB3/xYz9" * 10 + 'aB3/Qw=="\n', '"resolved": "https://packages.example/a/-/a-1.0.0.tgz"\n'),
    "hash of pip": ("    --hash=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \\\n",),
    "sum of Go": ("golang.org/x/net v0.30.0 h1:AcW1SDZMkb8IpzCdQUaIq2sP4sZ4zw+55h6ynffypl4=\n",),
    "checksum of Cargo": ('checksum = "d9f2c3b8b0a7e1f5c4d3b2a190817263544f3e2d1c0b9a8f7e6d5c4b3a291807"\n',),
    "UUID": ("id: 3f2504e0-4f89-41d3-9a0c-0305e82c3301\n", "HEROKU_APP_ID=01234567-89ab-cdef-0123-456789abcdef\n"),
    "picture": ("src='data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ" * 4 + "'\n",),
    "public key": (
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo\n-----END PUBLIC KEY-----\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGv4YbT0k7Z5mF2qHn1sV9cXwD8eR3uP6jK0oLtB4yNq user@host\n",
    ),
    "certificate": ("-----BEGIN CERTIFICATE-----\nMIIDXTCCAkWgAwIBAgIJAKL0UG+mRkSvMA0GCSqGSIb3DQEBCwUAMEUxCzAJBgNV\n-----END CERTIFICATE-----\n",),
    "local database": (
        "DATABASE_URL=postgres://postgres:postgres@localhost:5432/app\n",
        "redis://default:password@redis:6379/0\n",
        "mongodb://root:example@mongo:27017/\n",
    ),
    "read from the environment": (
        'api_key = os.environ["OPENAI_API_KEY"]\n',
        "token: ${{ secrets.GITHUB_TOKEN }}\n",
        'password = "{{resolve:secretsmanager:app/db:SecretString:password}}"\n',
        "const secret = process.env.STRIPE_SECRET_KEY;\n",
    ),
    "made-up password": ('password = "hunter2hunter2"\n', "login('admin', 'correct horse battery staple')\n", 'SECRET_KEY = "dev"\n'),
    "Stripe's public test key": ('stripe.api_key = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"\n',),
    "Stripe's publishable key": ('loadStripe("pk_live_51H8x2YJ3kLmN4pQ5rS6tU7vW8xY9zA0bC1dE2fG3")\n',),
    "words with a prefix": (
        "the desk-proj-management-and-planning-department-of-the-town\n",
        "mask-ant-colony-optimization-with-pheromone-tables\n",
        "hf_model_name_or_path_for_the_pretraining_run_of_today\n",
        "npm_config_registry_and_other_variables_of_the_shell\n",
    ),
    "class of a style sheet": (".sk-folding-cube-animation-delay-for-the-second-child { top: 0 }\n", ".task-sk-spinner-container-of-the-loading-page-large {}\n"),
    "source map": ("//# sourceMappingURL=data:application/json;base64,eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbImEuanMiXSwibmFtZXMiOltdfQ==\n",),
    "content hash": ("<script src=/static/main.8f7c9a1e5b2d4c6f.js></script>\n", 'ETag: "33a64df551425fcc55e4d42a148795d9f25f89d4"\n'),
    "digest of an image": ("FROM python:3.12@sha256:5c73034c2bc151596ee0f1335610735162ee2b148816710706afec4757ad5b1e\n",),
    "address of a wallet": ("0x71C7656EC7ab88b098defB751B7401B5f6d8976F\n",),
    "DSN of Sentry": ("dsn: 'https://examplePublicKey@o0.ingest.sentry.io/0'\n",),
    "Slack's documentation": ("xoxb-your-token-here\n", "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX\n"),
    "translation": ("resetPassword: 'Enter the new password for your account'\n", "api_key_missing: Please provide an API key first\n"),
    "time and port": ("12:30:45.123456789 listening on 0.0.0.0:8443\n", "1234567890:AAPL,NASDAQ,2026-11-27\n"),
    "type annotation": ("def connect(token: str, password: SecretStr) -> Client: ...\n", "interface Auth { accessToken: string; clientSecret: string }\n"),
    "snapshot of a test": ('expect(id).toMatchInlineSnapshot(`"V1StGXR8_Z5jdHi6B-myT"`);\n', 'exports[`renders 1`] = `<div class="css-1q8dd3e-AbCdEf" />`;\n'),
    "list of prefixes": ('PREFIXES = ("ghp_", "gho_", "glpat-", "xoxb-", "AKIA", "sk-ant-", "hf_")\n',),
    "path": ("/home/user/.local/share/containers/storage/overlay/8a3f9c1b7d5e2f4a6c8e0b1d3f5a7c9e1b3d5f7a/diff\n",),
    "minified script": ("!function(e,t){var n=e.key,r=t.token;return n&&r?n+r:void 0}(window.a,window.b);\n",),
    "identifier of AWS": ("arn:aws:iam::123456789012:role/AKIAlikeRoleNameForTheDeployment\n", "AGPAJ4LNBJLDTZXQ7EXAM\n"),
    "number of a build": ("version: 20261127.183000+sk.live.preview.release.candidate\n",),
    "random seed": ("RANDOM_SEED = 0x5DEECE66D1234567890ABCDEF\n", "state = [2463534242, 362436069, 521288629]\n"),
    "fake token of a test": ('FAKE_TOKEN = "fake-token-for-tests-only"\n', 'API_KEY = "test-api-key-1234"\n'),
    "address with a user": ("git clone https://user@bitbucket.org/team/repository.git\n", "ssh://git@github.com/owner/repository.git\n"),
    "encoded text": ("SGVsbG8sIHRoaXMgaXMganVzdCBhIGxvbmcgcGllY2Ugb2YgdGV4dCBpbiBiYXNlNjQu\n",),
}  # fmt: skip


def labelled_texts() -> list[Labelled]:
    """Return all texts; the same ones each time."""
    texts = []
    for kind, pattern in _SECRETS.items():
        source = random.Random(kind)  # noqa: S311 (the same each time)
        for context in _CONTEXTS:
            secret = _fill(pattern, source) if isinstance(pattern, str) else pattern(source)
            texts.append(Labelled(kind, context.format(secret), is_secret=True))
    texts += [Labelled(kind, text, is_secret=False) for kind, members in _ORDINARY.items() for text in members]
    return texts

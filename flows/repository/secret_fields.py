"""Defines the names of the fields in the git secret, and guesses which field a misspelt name stands for."""

import re
from difflib import SequenceMatcher
from typing import Final

from flows.forges.github_app import APP_FIELDS

TOKEN: Final = "token"  # noqa: S105 (the name of a field)
EMAIL: Final = "email"
USERNAME: Final = "username"
HOSTS: Final = "hosts"
REPOSITORIES: Final = "repositories"
API_URLS: Final = "forge_api_urls"
FIELDS: Final = (TOKEN, EMAIL, USERNAME, HOSTS, REPOSITORIES)

_WORDS: Final = {
    "host": HOSTS,
    "hostname": HOSTS,
    "hostnames": HOSTS,
    "domain": HOSTS,
    "domains": HOSTS,
    "repo": REPOSITORIES,
    "repos": REPOSITORIES,
    "repository": REPOSITORIES,
    "mail": EMAIL,
    "pat": TOKEN,
    "password": TOKEN,
    "forgeapiurl": API_URLS,
    **{name.replace("_", ""): name for name in (API_URLS, *APP_FIELDS)},
    **{name: name for name in FIELDS},
}
"""Words that occur in misspelt names of fields, each with the field that the word stands for."""

_MIN_SIMILARITY: Final = 0.8


def intended_field(name: str) -> str:
    """Return the field that `name` stands for: `name` itself if it is correct; empty if it resembles no field.

    The words of a name may be joined in any way. For example, `allowed_hosts`, `gitRepos` and `e-mail` are recognised.
    """
    if name in FIELDS:
        return name
    words = [word.casefold() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+", name)]
    for candidate in ("".join(words), *words):
        if field := _WORDS.get(candidate, "") or _similar_field(candidate):
            return field
    return ""


def _similar_field(word: str) -> str:
    similarity, field = max((SequenceMatcher(None, word, field).ratio(), field) for field in FIELDS)
    return field if similarity >= _MIN_SIMILARITY else ""

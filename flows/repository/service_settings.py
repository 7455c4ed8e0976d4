"""Reads the key `services` of the repository's file of settings."""

import re
from typing import Any, Final

from flows.errors import InvalidRepositoryFile
from flows.sandbox.services import HEALTH_TIMEOUT_SECONDS, Service

SERVICES: Final = "services"
_MAX_SERVICES: Final = 10
_MAX_SECONDS: Final = 3600
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,29}")
_COMMAND, _HEALTH, _TIMEOUT = "command", "health", "health_timeout_seconds"
_KEYS: Final = (_COMMAND, _HEALTH, _TIMEOUT)
_EXAMPLE: Final = "services: {redis: {command: redis-server --port 6379, health: redis-cli ping}}"


def parse_services(value: object, source: str) -> tuple[Service, ...]:
    """Return the services in the order of the file; raise `InvalidRepositoryFile` if one is unusable.

    Args:
        value: The value of the key, made of texts, lists and mappings.
        source: The name of the file, for people.
    """
    if value == "":
        return ()
    if not isinstance(value, dict):
        raise InvalidRepositoryFile(f"{SERVICES} in {source} is not a mapping: write for example {_EXAMPLE}")
    if len(value) > _MAX_SERVICES:
        raise InvalidRepositoryFile(f"{SERVICES} in {source} has {len(value)} services: name at most {_MAX_SERVICES}")
    return tuple(_service(str(name), settings, source) for name, settings in value.items())


def _service(name: str, settings: object, source: str) -> Service:
    if not _NAME.fullmatch(name):
        raise InvalidRepositoryFile(
            f"{SERVICES} in {source} has the name {name[:100]!r}: use at most 30 small letters, digits and hyphens, "
            "and a letter first"
        )
    place = f"the service {name} in {source}"
    if not isinstance(settings, dict):
        raise InvalidRepositoryFile(f"{place} is not a mapping: write for example {_EXAMPLE}")
    for key in map(str, settings):
        if key not in _KEYS:
            raise InvalidRepositoryFile(
                f"{place} has the unknown key {key[:100]!r}: correct or remove it; the keys are {', '.join(_KEYS)}"
            )
    return Service(name, _text(settings, _COMMAND, place), _text(settings, _HEALTH, place), _seconds(settings, place))


def _text(settings: dict[str, Any], key: str, place: str) -> str:
    text = settings.get(key, "")
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InvalidRepositoryFile(f"{place} has no {key}: give it a shell command, such as {_EXAMPLE}")
    return text.strip()


def _seconds(settings: dict[str, Any], place: str) -> int:
    text = settings.get(_TIMEOUT, str(HEALTH_TIMEOUT_SECONDS))
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,4}", text) or not 0 < int(text) <= _MAX_SECONDS:
        raise InvalidRepositoryFile(f"{_TIMEOUT} of {place} is not a number of seconds from 1 to {_MAX_SECONDS}")
    return int(text)

"""The authorities that certificates are checked by, loaded once: OpenSSL 3 takes 20 to 50 ms for them, each time.

Prefect loads them twice when it is imported, and for each of the eight clients of its API that a run has; urllib3,
below botocore, for each connection (https://github.com/urllib3/urllib3/issues/3623).
"""

import importlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any, Final

_CREATE: Final = ssl.create_default_context
_CLIENTS: Final = (
    "prefect.client.orchestration",
    "prefect._internal.version_checking",
    "prefect._internal.websockets",
)
_LOADING: Final = Lock()


class SharedContext(ssl.SSLContext):
    """One for many connections, of several threads: what each of them would set again is set once."""

    _files: tuple[str, ...] = ()
    _protocols: tuple[str, ...] = ()

    @classmethod
    def of(cls, context: ssl.SSLContext) -> ssl.SSLContext:
        """Return a context that nobody uses yet as one to be shared."""
        context.__class__ = cls
        return context

    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:  # noqa: ANN401
        """Load authorities; a file that was loaded is not loaded again."""
        if not cafile or capath or cadata:
            return super().load_verify_locations(cafile, capath, cadata)
        with _LOADING:  # whoever comes meanwhile needs the same
            if str(cafile) not in self._files:
                super().load_verify_locations(cafile)
                self._files += (str(cafile),)
        return None

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:  # noqa: ANN401 (here and above: typeshed's are long)
        """Offer these protocols; OpenSSL frees those before, which another thread's connection may be reading."""
        if tuple(alpn_protocols) != self._protocols:
            super().set_alpn_protocols(alpn_protocols)
            self._protocols = tuple(alpn_protocols)


def create_default_context(*purpose: ssl.Purpose, cafile: str | None = None, **more: Any) -> ssl.SSLContext:  # noqa: ANN401
    """Return what `ssl.create_default_context` does; of a file alone it is the same one each time."""
    # Whoever names no file may be about to check no certificate at all: that context is its own.
    return _shared(str(cafile)) if cafile and not purpose and not more else _CREATE(*purpose, cafile=cafile, **more)


@cache
def _shared(cafile: str) -> ssl.SSLContext:
    return SharedContext.of(_CREATE(cafile=cafile))


@contextmanager
def loaded_once() -> Iterator[None]:
    """Import Prefect: what it makes meanwhile, and its clients from then on, share a context."""
    ssl.create_default_context = create_default_context  # type: ignore[assignment]  # `purpose` has its name there
    try:
        yield
        for name in _CLIENTS:
            vars(importlib.import_module(name))["ssl"] = _Ssl("ssl")
    finally:
        ssl.create_default_context = _CREATE


class _Ssl(ModuleType):
    """The module, for those who make contexts by its name."""

    create_default_context = staticmethod(create_default_context)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever it is)
        return getattr(ssl, name)

"""The login as boto3's chain finds it. Whatever fails, then or when it is renewed, is one of
ERRORS, and says what has failed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any, TypeVar

import botocore.session

from vsv_pyramid.errors import VsvPyramidError
from vsv_pyramid.s3_errors import ERRORS, LoginFailed

Result = TypeVar("Result")

_HELPER_SECONDS = 120.0  # for a program that gives credentials, which may have to ask somebody
_PARTS = {
    "access_key": "the access key (AWS_ACCESS_KEY_ID)",
    "secret_key": "the secret key (AWS_SECRET_ACCESS_KEY)",
    "token": "the session token (AWS_SESSION_TOKEN)",
}


def prepare(session: botocore.session.Session, asked: Callable[[str], str]) -> None:
    """Makes the session's chain tell what fails in it; `asked` is who gives a code (MFA)."""
    chain = session.get_component("credential_provider")
    chain.get_provider("assume-role")._prompter = asked  # which has no other way to it
    for provider in chain.providers:
        if provider.METHOD == "custom-process":
            provider._popen = _Helper  # nor this one
    chain.providers = [_Provider(provider) for provider in chain.providers]


class _Provider:
    """One of boto3's ways to credentials."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def load(self) -> _Credentials | None:
        found = _told(self.METHOD, self._provider.load)
        return found and _Credentials(found, self.METHOD)


class _Credentials:
    """Those of boto3, which may renew themselves."""

    def __init__(self, found: Any, method: str) -> None:
        self._found = found
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)

    def get_frozen_credentials(self) -> Any:
        frozen = _told(self._method, self._found.get_frozen_credentials)
        for name, words in _PARTS.items():
            if not re.fullmatch(r"[!-~]*", str(getattr(frozen, name) or "")):
                what = f"{words} has a blank, a line's end, or another character that none has"
                raise LoginFailed(self._method, ValueError(what))
        return frozen


class _Helper(subprocess.Popen[bytes]):
    """A program that gives credentials: it may not take for ever, and ends with who asked it."""

    def communicate(self, *_: Any, **__: Any) -> tuple[bytes, bytes]:
        try:
            return super().communicate(timeout=_HELPER_SECONDS)
        except BaseException:
            with self:  # waits for its end
                self.kill()
            raise


def _told(method: str, action: Callable[[], Result]) -> Result:
    try:
        return action()
    except (VsvPyramidError, *ERRORS):
        raise
    except Exception as exc:  # what any program, file and server can make boto3 raise
        raise LoginFailed(method, exc) from exc

"""The login as boto3's chain finds it. Whatever fails, then or when it is renewed, is one of
ERRORS, and says what has failed."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session

from vsv_pyramid.aws import answers, exchanges
from vsv_pyramid.aws.s3_errors import ERRORS, LoginFailed
from vsv_pyramid.errors import VsvPyramidError

if TYPE_CHECKING:
    from botocore.loaders import Loader

Result = TypeVar("Result")

_HELPER_SECONDS = 120.0  # for a program that gives credentials, which may have to ask somebody
_NOBODY = "asks for a code (MFA), and nobody is here"
_PARTS = {
    "access_key": "the access key (AWS_ACCESS_KEY_ID)",
    "secret_key": "the secret key (AWS_SECRET_ACCESS_KEY)",
    "token": "the session token (AWS_SESSION_TOKEN)",
}


_turn = threading.Lock()


def session() -> boto3.Session:
    """What is configured, for all that this process asks of Amazon: who gives a code (MFA), and a
    program that gives credentials, is asked once."""
    with _turn:
        made = _session(_environment())
        found = None
        try:
            found = made.get_credentials()  # here, or several threads would have them made
        finally:
            if found is None:  # they may be configured by the next time
                _session.cache_clear()
        return made


def forget() -> None:
    """Has the next session read anew what is configured: a new login may be there since."""
    with _turn:
        _session.cache_clear()


def _environment() -> frozenset[tuple[str, str]]:
    """All of it: a program that gives credentials may read anything there."""
    return frozenset(os.environ.items())


@lru_cache(maxsize=1)
def _session(_: frozenset[tuple[str, str]]) -> boto3.Session:
    """One for each environment."""
    core = botocore.session.get_session()
    exchanges.watch(core)
    core.register_component("data_loader", _descriptions())
    parsers = core.get_component("response_parser_factory")
    core.register_component("response_parser_factory", answers.Parsers(parsers))
    chain = core.get_component("credential_provider")
    chain.get_provider("assume-role")._prompter = _asked  # which has no other way to it
    for provider in chain.providers:
        if provider.METHOD == "custom-process":
            provider._popen = _Helper  # nor this one
    chain.providers = [_Provider(provider) for provider in chain.providers]
    return boto3.Session(botocore_session=core)


@cache
def _descriptions() -> Loader:
    """boto3's descriptions of services, which each session would read anew: 60 ms."""
    loader: Loader = botocore.session.get_session().get_component("data_loader")
    return loader


def _asked(prompt: str) -> str:
    if not sys.stdin or not sys.stdin.isatty():
        raise LoginFailed("assume-role", EOFError(_NOBODY))
    return getpass.getpass(prompt)


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

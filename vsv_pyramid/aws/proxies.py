"""The proxy that a request goes through: one judgement for all HTTP clients, of which each reads
HTTPS_PROXY and NO_PROXY in a way of its own."""

from __future__ import annotations

import fnmatch
import ipaddress
import urllib.request
from urllib.parse import urlsplit


class NoUrlError(ValueError):
    """A proxy that is named by what is no URL."""


def check() -> None:
    """Raises NoUrlError, which does not show what may hold a password."""
    for scheme, proxy in urllib.request.getproxies().items():
        if scheme not in ("http", "https", "all") or not proxy:
            continue
        name = f"{scheme.upper()}_PROXY"
        try:
            server = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            known = server.hostname and server.port != 0
        except ValueError:
            known = False
        if not known:
            raise NoUrlError(f"what {name} names is no proxy; give it as http://HOST:PORT")


def proxy_of(url: str) -> str | None:
    """The proxy's URL as the environment or the system has it, None where there is none for the
    server of that URL."""
    server = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(server.scheme) or proxies.get("all")
    if not proxy or _is_excepted(server.hostname or "", server.port, proxies.get("no", "")):
        return None
    if urllib.request.proxy_bypass(server.netloc):  # the system's own list, on Mac and Windows
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def proxy_of_boto3(url: str) -> str | None:
    """The one that boto3 takes, left to itself."""
    if urllib.request.proxy_bypass(urlsplit(url).netloc):
        return None
    return urllib.request.getproxies().get(urlsplit(url).scheme)


def shown(proxy: str) -> str:
    """The proxy's URL without its password."""
    return urlsplit(proxy)._replace(netloc=urlsplit(proxy).netloc.rpartition("@")[2]).geturl()


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    """Whether NO_PROXY names the server: `*`, a name or the end of one, an address, a network
    (10.0.0.0/8, 10.*), each with or without a port."""
    for exception in filter(None, (part.strip().lower() for part in exceptions.split(","))):
        name, colon, number = exception.rpartition(":")
        if colon and number.isdecimal() and (name.endswith("]") or ":" not in name):
            if int(number) != port:
                continue
            exception = name
        exception = exception.strip("[]")
        domain = exception.lstrip("*.") if exception != "*" else exception
        if host == domain or host.endswith(f".{domain}") or fnmatch.fnmatchcase(host, exception):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False):
                return True
        except ValueError:
            continue  # a name, of which neither is an address
    return False

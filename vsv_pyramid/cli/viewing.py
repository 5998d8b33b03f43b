"""The commands for looking at what is published: serve and share."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsv_pyramid.cli.help import command
from vsv_pyramid.cli.options import PathType, PlaceType, private_to, time_zone
from vsv_pyramid.cli.store_options import store_options
from vsv_pyramid.cli.streams import echo
from vsv_pyramid.destination import Destination, tie
from vsv_pyramid.destination.root import open_edited, open_root
from vsv_pyramid.errors import OptionError
from vsv_pyramid.review.desk import check_apart, user_name
from vsv_pyramid.review.records import Kept
from vsv_pyramid.runtime import clock
from vsv_pyramid.store import S3Options, Store, is_archive, open_store
from vsv_pyramid.words import counted

if TYPE_CHECKING:
    from vsv_pyramid.web.desk_api import Entrance
    from vsv_pyramid.web.people import People


@command(
    "serve",
    short_help="Show published pyramids in a browser.",
    epilog="""\b
Examples:
  vsv-pyramid serve --open
  vsv-pyramid serve /srv/www --port 8080
  vsv-pyramid serve s3://bucket/prefix
  vsv-pyramid serve 170782.zip
  vsv-pyramid serve --signed --public-key public.pem
  vsv-pyramid serve --edit --cdr https://cdr.example.org/slides --open""",
)
@click.argument("root", default=".", type=PlaceType())
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen at; 0.0.0.0: all."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen at; 0: any that is free.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--signed",
    is_flag=True,
    help="Refuse requests without a signed link or cookie of `share`, as a private CDN does.",
)
@click.option(
    "--public-key",
    "public_keys",
    type=PathType(),
    multiple=True,
    metavar="FILE",
    help="With --signed: the signer's key, PEM; given twice, the keys of two signers, as while one "
    "takes the other's place.",
)
@click.option(
    "--key-id",
    "key_ids",
    multiple=True,
    metavar="ID",
    help="With --signed: the only id of the key that counts; one for each key, in their order.",
)
@click.option(
    "--edit",
    is_flag=True,
    help="Serve the technician's desk, too, in which slides are checked, corrected, deleted and "
    "sent: on this machine, and with --token-file on others.",
)
@click.option(
    "--cdr", metavar="URL", help="With --edit: where records are sent; see `slides send`."
)
@click.option("--by", metavar="NAME", help="With --edit: who works there; default: your account.")
@click.option(
    "--token-file",
    type=PathType(),
    metavar="FILE",
    help="With --edit: who works there, a line for each person, as `desk add-user` makes them. The "
    "browser then asks for name and token.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of another site (https://host) read slides and show the viewer in a frame; can "
    "be given several times.",
)
@time_zone
@private_to
@store_options
def serve_command(
    root: str,
    host: str,
    port: int,
    opens: bool,
    signed: bool,
    public_keys: tuple[Path, ...],
    key_ids: tuple[str, ...],
    edit: bool,
    origins: tuple[str, ...],
    time_zone: str | None,
    private_to: str | None,
    s3: S3Options,
    **desk: Any,
) -> None:
    """Serve ROOT (the folder, .zip or .szi file, or s3:// URL that holds images/ID; default: this
    folder) and the viewer on this machine, under the paths and with the headers that they have on
    the CDN, until Ctrl-C.
    """
    if signed != bool(public_keys):
        raise OptionError("--signed and --public-key go together; give both or none")
    if key_ids and not signed:
        raise OptionError("--key-id needs --signed")
    if key_ids and len(key_ids) != len(public_keys):
        raise OptionError("give --key-id once for each --public-key, in their order, or never")
    if edit and (signed or is_archive(root)):
        raise OptionError("--edit is for a folder or a bucket, and without --signed")
    if edit and origins:
        raise OptionError("--allow-origin is without --edit: other pages must not edit")
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]+)?", origin):
            raise OptionError(
                f"--allow-origin {origin!r} is refused; give https://host, or https://host:port"
            )
    stopped = threading.Event()
    entrance = _entrance(s3, time_zone, stopped, **desk) if edit else None
    if not edit and any(desk.values()):
        raise OptionError("--cdr, --by and --token-file need --edit")
    from vsv_pyramid import pages  # late, as all below: most commands need no web server
    from vsv_pyramid.cli.opening import opening
    from vsv_pyramid.web import server
    from vsv_pyramid.web.app import create_app
    from vsv_pyramid.web.door import KEY

    verifiers = []
    if public_keys:
        from vsv_pyramid.web import signing

        made = map(signing.read_public_key, public_keys)
        verifiers = list(map(signing.Verifier, made, key_ids or [None] * len(public_keys)))
    pages.files()  # refuses where the viewer is not there
    store: Store | Destination
    if edit:
        store = open_edited(root, private_to, s3, stopped)
        store.check_keeps()
        if entrance and entrance.cdr:
            check_apart(entrance.cdr, store)
        Kept(store).update(())  # made now, where an earlier release has left none
    else:
        store = open_root(root, s3, stopped)
    with server.listener(host, port) as listening:
        is_local = server.is_loopback(listening)
        if entrance and entrance.people.key and not is_local:
            raise OptionError(
                f"--edit at {host} would send the key to the desk over the network; leave --host "
                "out, or give --token-file"
            )
        key = entrance.people.key if entrance else ""
        # Nobody's token goes to another name; a server with TLS may stand before this one.
        hosts = () if entrance and not key else server.names(listening, host)
        site = create_app(
            store, verifiers=verifiers, entrance=entrance, hosts=hosts, origins=origins
        )
        name = server.bracketed(host)
        url = f"http://{name}:{listening.getsockname()[1]}/{key and f'?{KEY}={key}'}"
        if not is_local:
            seen = "try tokens at the desk" if entrance else "see the slides"
            echo(f"Warning: anyone on the network who reaches {name} can {seen}.", err=True)
        echo(f"Serving {root} at {url} (Ctrl-C ends it)")
        with opening(url, is_secret=bool(key)) if opens else contextlib.nullcontext():
            server.run(site, listening, stopped)


def _entrance(
    s3: S3Options,
    time_zone: str | None,
    stopped: threading.Event,
    cdr: str | None,
    by: str | None,
    token_file: Path | None,
) -> Entrance:
    from vsv_pyramid.review.cdr import check_url
    from vsv_pyramid.web.desk_api import Entrance
    from vsv_pyramid.web.people import Owner, TokenFile

    if cdr:
        check_url(cdr)
    if by and token_file:
        raise OptionError("--by is without --token-file, which says who works there")
    people: People = TokenFile(token_file) if token_file else Owner(by or user_name())
    return Entrance(people, cdr, s3, time_zone, stopped)


@command(
    "viewer",
    short_help="Publish the viewer's page beside the images.",
    epilog="""\b
Examples:
  vsv-pyramid viewer --to s3://bucket/prefix
  vsv-pyramid viewer --to /srv/www""",
)
@click.option(
    "--to",
    "destination",
    required=True,
    type=PlaceType(),
    metavar="DEST",
    help="The folder or s3:// URL that holds images/; the page is put into DEST/viewer.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace another page, or what a link leads to, in its place."
)
@store_options
def viewer_command(destination: str, overwrite: bool, s3: S3Options) -> None:
    """Publish the viewer's page and the gallery as DEST/viewer/index.html and
    DEST/viewer/gallery/index.html: static files, which show what is in DEST/images.
    """
    from vsv_pyramid import pages

    store = open_store(destination, s3)
    tie.check_is_no_part(store)
    tie.check_publishes(store)
    count = pages.publish(store, overwrite=overwrite)
    echo(f"{counted(count, 'file')} -> {destination.rstrip('/')}/viewer/index.html")


@command(
    "share",
    short_help="Print links to slides on a private CDN.",
    epilog="""\b
Examples:
  vsv-pyramid share 170782 --base-url https://slides.example.org \\
    --key-id K2JCJMDEHXQW5F --private-key private.pem --expires 7d
  vsv-pyramid share --cookies --base-url https://slides.example.org \\
    --key-id K2JCJMDEHXQW5F --private-key private.pem --expires 12h""",
)
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--base-url", required=True, metavar="URL", help="Where images/ and viewer/ are.")
@click.option("--key-id", required=True, metavar="K", help="CloudFront's id of the public key.")
@click.option(
    "--private-key", required=True, type=PathType(), metavar="FILE", help="The key, PEM, RSA."
)
@click.option(
    "--expires",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="How long it is good: 30m, 12h, 7d, 4w.",
)
@click.option(
    "--hash",
    "hash_name",
    type=click.Choice(["SHA256", "SHA1"], case_sensitive=False),
    default="SHA256",
    show_default=True,
    help="What the signature is made with; SHA1 for a CDN that takes nothing newer.",
)
@click.option(
    "--cookies", is_flag=True, help="Print cookies for all slides, instead of links to some."
)
def share_command(
    ids: tuple[str, ...],
    base_url: str,
    key_id: str,
    private_key: Path,
    expires: str,
    hash_name: str,
    cookies: bool,
) -> None:
    """Print a link for each slide ID, which shows this slide and no other to whoever has it, until
    it expires. It cannot be taken back, but by removing the key from the CDN.
    """
    if cookies and ids:
        raise OptionError("--cookies are for all slides; give no ID with them")
    if not cookies and not ids:
        raise OptionError("there is no ID; give those of the slides, or --cookies")
    from vsv_pyramid.web import signing  # late: botocore and cryptography

    key = signing.read_private_key(private_key)
    end = signing.expiry(expires, clock.utc())
    if cookies:
        for name, value in signing.cookies(base_url, key_id, key, end, hash_name).items():
            echo(f"{name}={value}; {signing.COOKIE_ATTRIBUTES}")
        return
    given = base_url, key_id, key, end, hash_name
    for link in [signing.link(slide_id, *given) for slide_id in ids]:
        echo(link)

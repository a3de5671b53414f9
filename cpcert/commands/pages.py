"""report: a certificate as a page."""

from __future__ import annotations

import sys
from pathlib import Path

from cpcert.commands import DONE, NO
from cpcert.output import prepare_folder, write_file


def report(certificate: Path, /, *, out: Path | None = None) -> int:
    """Make a page of a certificate: the claim, the interval, the network, the proof, and how to verify it.

    The page NAME.html is one file that needs nothing else. It is made only of a certificate that the checker accepts. Exit codes:
    0  the page is written
    1  the certificate is rejected, and why
    2  the file cannot be read

    Parameters
    ----------
    certificate
        The certificate: NAME.cpcert of `solve`, or the proof (JSON) of `cprank`, `rank` or `bipartite`.
    out
        Write the page into this folder instead of the current one.
    """
    from cpcert.certificate.check import Rejected
    from cpcert.pages.certificate import certificate_page

    prepare_folder(out)
    try:
        page = certificate_page(certificate)
    except Rejected as error:
        print(f"rejected: {error}")
        return NO
    path = (out or Path()) / f"{certificate.stem}.html"
    write_file(path, page.encode())
    print(path)
    print("open it in any browser", file=sys.stderr)
    return DONE

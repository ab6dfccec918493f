"""Write ``constraints.txt``: the versions that an image is made of, and how large they are.

pip says which wheels it would take for the GPU image, and the end of a wheel says what is in it; no
wheel is downloaded. The CPU image takes the same versions of fewer packages.
"""

import io
import json
import re
import subprocess
import sys
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("constraints.txt")
HEAD = """\
# Written by pin.py. After each version: bytes as installed, bytes to download.
"""
_TAIL_BYTES = 4 << 20


def archive_bytes(url: str) -> tuple[int, int]:
    """Bytes that an archive takes installed, and to download.

    Each module of a wheel counts twice, since pip compiles it; of a source archive there is no
    telling, and it counts as it is.
    """
    request = urllib.request.Request(url, headers={"Range": f"bytes=-{_TAIL_BYTES}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        tail = answer.read()
        _, _, total = answer.headers.get("Content-Range", "").rpartition("/")
    packed = int(total or len(tail))
    if not url.endswith(".whl"):
        return packed, packed
    with zipfile.ZipFile(io.BytesIO(tail)) as wheel:
        files = wheel.infolist()
    modules = [one for one in files if one.filename.endswith(".py")]
    return sum(one.file_size for one in (*files, *modules)), packed


def constraint(package: dict[str, Any]) -> str:
    """The line of a package that pip would install."""
    about = package["metadata"]
    installed, packed = archive_bytes(package["download_info"]["url"])
    name = re.sub(r"[-_.]+", "-", about["name"]).lower()
    return f"{name}=={about['version']}  # {installed} {packed}\n"


def main() -> None:
    """Ask pip, then ask for the size of each archive."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    report = subprocess.run(
        [*command, "--report", "-", f"{ROOT}[gcp,cpu]"], check=True, capture_output=True, text=True
    ).stdout
    packages = [one for one in json.loads(report)["install"] if not one["is_direct"]]
    with ThreadPoolExecutor(8) as pool:
        FILE.write_text(HEAD + "".join(sorted(pool.map(constraint, packages))))


if __name__ == "__main__":
    main()

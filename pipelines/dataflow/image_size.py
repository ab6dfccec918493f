"""Print how large the packages of the GPU image will be, without downloading them.

pip says which wheels it would take, and the end of a wheel says what is in it.
"""

import io
import json
import subprocess
import sys
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TAIL_BYTES = 4 << 20


def wheel_bytes(url: str) -> tuple[int, int]:
    """Bytes of a wheel's files, and of the wheel."""
    request = urllib.request.Request(url, headers={"Range": f"bytes=-{_TAIL_BYTES}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        tail = answer.read()
        _, _, total = answer.headers.get("Content-Range", "").rpartition("/")
    with zipfile.ZipFile(io.BytesIO(tail)) as wheel:
        return sum(one.file_size for one in wheel.infolist()), int(total or len(tail))


def main() -> None:
    """Ask pip, then add up."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    report = subprocess.run(
        [*command, "--report", "-", f"{ROOT}[gcp,cpu]"], check=True, capture_output=True, text=True
    ).stdout
    urls = [one["download_info"]["url"] for one in json.loads(report)["install"]]
    wheels = [url for url in urls if url.endswith(".whl")]
    with ThreadPoolExecutor(8) as pool:
        unpacked, packed = map(sum, zip(*pool.map(wheel_bytes, wheels), strict=True))
    print(f"{len(wheels)} packages: {unpacked / 1e9:.2f} GB, to download {packed / 1e9:.2f} GB")


if __name__ == "__main__":
    main()

"""Compare wheel and sdist with git: `python .ci/compare.py DIST TAG`; exit code 1 and a line for each difference."""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

BUILT = (".so", ".pyd")  # compiled from git's sources, where the machine can: named, not compared
MADE = ("PKG-INFO", "setup.cfg")  # what setuptools adds to an sdist


def of_git(tag: str) -> dict[str, bytes]:
    """Give every file of a tag."""
    return of_zip(subprocess.run(["git", "archive", "--format=zip", tag], capture_output=True, check=True).stdout)


def of_zip(packed: bytes) -> dict[str, bytes]:
    """Give every file of a zip archive, such as a wheel."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def of_sdist(packed: bytes) -> dict[str, bytes]:
    """Give every file of an sdist, without the folder around them and what setuptools adds."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = {one.name.partition("/")[2]: archive.extractfile(one).read() for one in archive if one.isfile()}
    return {name: files[name] for name in files if name not in MADE and ".egg-info/" not in name}


def differences(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """Say what is missing, added or changed, files by name."""
    missing = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    added = [f"{name} is not in git" for name in sorted(found.keys() - wanted.keys()) if not name.endswith(BUILT)]
    return (
        missing + added + [f"{name} differs" for name in sorted(found) if found[name] != wanted.get(name, found[name])]
    )


def check(dist: Path, git: dict[str, bytes]) -> list[str]:
    """Give all differences of the one wheel (only the package) and the one sdist (everything) in `dist`."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    packed = {name: data for name, data in of_zip(wheel.read_bytes()).items() if ".dist-info/" not in name}
    for name in sorted(packed):
        if name.endswith(BUILT):
            print(f"{wheel.name}: {name} is compiled, {len(packed[name])} bytes")
    package = {name: data for name, data in git.items() if name.startswith("anet/")}
    return [f"{wheel.name}: {one}" for one in differences(packed, package)] + [
        f"{sdist.name}: {one}" for one in differences(of_sdist(sdist.read_bytes()), git)
    ]


def main() -> int:
    dist, tag = Path(sys.argv[1]), sys.argv[2]
    git = of_git(tag)
    faults = check(dist, git)
    version = next(dist.glob("*.whl")).name.split("-")[1]
    if tag != "HEAD" and tag.removeprefix("v") != version:
        faults.append(f"tag {tag} is not version {version}")
    print("\n".join(faults) or f"wheel and sdist {version} hold the {len(git)} files of {tag}, byte for byte")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())

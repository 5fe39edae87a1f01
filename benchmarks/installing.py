"""`python -m benchmarks.installing`: installs the servers that slosh is compared with, as far as it can.

Debian's packages as root (with `--system` these alone); Faye and the Python packages into build/benchmarks, where
nothing else looks. What cannot be installed is told and left out: the benchmark runs without it, and says so again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.building import BUILD, compiler
from benchmarks.servers import SERVERS
from benchmarks.servers.peers import FAYE, PEERS

DEBIAN = {
    "nginx": ["nginx", "libnginx-mod-nchan"],
    "pushpin": ["pushpin", "condure", "zurl"],
    "redis-server": ["redis-server"],
    "node": ["nodejs"],
    "npm": ["npm"],
}
"""Program -> the packages that bring it."""
DISTRIBUTIONS_PYTHON = "/usr/bin/python3"
"""What `make bench` measures slosh on, where it is new enough."""
PYTHON = ["starlette", "uvicorn", "pyzmq", "aiohttp"]
NPM = ["faye@1"]


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def run(words: list[str], **variables: str) -> bool:
    """Whether the command did its work; what it said when it did not."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **variables})
    if done.returncode != 0:
        tell(f"{' '.join(words)} failed:\n{(done.stderr or done.stdout).strip()[-1000:]}")
    return done.returncode == 0


def lacks_venv() -> bool:
    """Whether the distribution's Python would do to measure on, if only it could make a virtual environment."""
    question = "import sys; print(sys.version_info >= (3, 11)); import ensurepip, venv"
    if not Path(DISTRIBUTIONS_PYTHON).exists():
        return False
    asked = subprocess.run([DISTRIBUTIONS_PYTHON, "-I", "-c", question], capture_output=True, text=True, check=False)
    return asked.stdout.strip() == "True" and asked.returncode != 0


def lacking_packages() -> list[str]:
    """Debian packages of programs that are not here."""
    paths = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    lacking = [package for program, packages in DEBIAN.items() if not shutil.which(program, path=paths)
               for package in packages]  # fmt: skip
    if SERVERS["nchan"].missing() is not None:
        lacking += DEBIAN["nginx"]
    if compiler() is None:
        lacking += ["gcc", "libc6-dev"]
    if lacks_venv():
        lacking += ["python3-venv"]
    return sorted(set(lacking))


def install_debian() -> None:
    """What Debian has, nginx with nchan, Pushpin, Node, a C compiler, venv: as root, where there is apt-get."""
    packages = lacking_packages()
    if not packages:
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        tell(f"not installed, since this is not root on Debian: {' '.join(command)}")
        return
    tell(f"installing {', '.join(packages)}")
    run(["apt-get", "update", "-qq"])
    run(command, DEBIAN_FRONTEND="noninteractive")


def install_python() -> None:
    """What only peers need, beside this Python's own packages."""
    if all((PEERS / name).is_dir() for name in ("starlette", "uvicorn", "zmq", "aiohttp")):
        return
    tell(f"installing {', '.join(PYTHON)} into {PEERS}")
    run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(PEERS),
         "--upgrade", *PYTHON])  # fmt: skip


def install_faye() -> None:
    """Faye, from npm."""
    if (FAYE / "faye").is_dir() or shutil.which("npm") is None:
        return
    tell(f"installing {', '.join(NPM)} into {FAYE.parent}")
    FAYE.parent.mkdir(parents=True, exist_ok=True)
    run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(FAYE.parent), *NPM])


def main() -> None:
    """Install, then say what is still missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.installing", description=__doc__.partition("\n")[0])
    parser.add_argument("--system", action="store_true", help="only Debian's packages, and say nothing of the rest")
    system = parser.parse_args().system
    BUILD.mkdir(parents=True, exist_ok=True)
    install_debian()
    if system:
        return
    install_python()
    install_faye()
    for server in SERVERS.values():
        missing = server.missing()
        if missing is not None and not server.name.startswith("slosh"):
            tell(f"{server.title} will be left out; it needs {missing}")


if __name__ == "__main__":
    main()

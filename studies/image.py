"""Builds the container image without a container engine, starts it, asks it for entities, and lists what is in it.

    python studies/image.py                     the embedded bundle
    python studies/image.py --bundle lean       a bundle of yours, for example of BERT-base size
    python studies/image.py --base IMAGE        on a base image that buildah can reach

Needs root, and Debian's buildah and debootstrap (`apt-get install buildah debootstrap`). Without --base the base image
is made from Debian's packages: the smallest system and Python. The image is started in namespaces of its own, as its
user, on a root that is mounted read-only, with what an engine adds (/proc, /dev with a small /dev/shm); the network is
the host's, and only its loopback address is used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slimner.bench.server import family, free_port, memory

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
BASE = "localhost/slimner-base:bookworm"
IMAGE = "localhost/slimner:study"
CERTIFICATES = "/run/secrets/certificates"
LIMIT_BYTES = 300_000_000
TEXT = "外交部发言人说，法国总统马克龙将于下周访问上海。"

# Mounts what an engine would, in a mount namespace that ends with the process; the root stays read-only.
START = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for node in null zero random urandom; do touch "$1/dev/$node"; mount --bind /dev/$node "$1/dev/$node"; done
mkdir -m 1777 "$1/dev/shm"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$1/dev/shm"
root=$1 user=$2; shift 2
exec chroot --userspec="$user" "$root" env -i "$@"
"""


def main() -> None:
    """Build, look, start, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle's directory; default: the embedded one")
    parser.add_argument("--base", help="a base image; default: made from Debian's packages")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for program in ("buildah", *([] if options.base else ["debootstrap"])):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing; apt-get install {program}")
    base = options.base or debian_base()
    build(base, options.bundle)
    with mounted(IMAGE) as (root, image), mounted(base) as (ground, _):
        parts = sizes(root, ground)
        print(f"\n{'part':<44} {'MB':>7}")
        for name, size in parts:
            print(f"{name:<44} {size / 1e6:>7.1f}")
        added = sum(size for _, size in parts)
        print(f"{'added to the base in all':<44} {added / 1e6:>7.1f}\n")
        answers = serve(root, image, options.workers)
    print(json.dumps(answers, ensure_ascii=False, indent=2))
    if added > LIMIT_BYTES:
        raise SystemExit(f"{added / 1e6:.0f} MB are added to the base, more than {LIMIT_BYTES / 1e6:.0f}")


def buildah(*arguments: str | Path, capture: bool = True) -> str:
    """What a buildah command printed; it ends the study when it fails."""
    done = subprocess.run(
        ["buildah", *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"buildah {arguments[0]} ended with {done.returncode}")
    return (done.stdout or "").strip()


def debian_base() -> str:
    """An image of Debian's smallest system with Python, made once."""
    if BASE in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        return BASE
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"  # made by debootstrap, with the rights of a root; ours is for us only
        subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=python3,python3-venv", "bookworm", str(root)], check=True
        )
        for unneeded in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / unneeded)
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, root, "/")
        buildah("commit", "--quiet", "--rm", container, BASE)
    return BASE


def build(base: str, bundle: Path | None) -> None:
    """The image, from a copy of the checkout with the bundle in it; this machine's pip settings are lent as secrets."""
    with tempfile.TemporaryDirectory() as directory:
        context = Path(directory) / "context"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (context / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, context / name)
        arguments = ["--build-arg", f"BASE={base}"]
        if bundle is not None:
            shutil.copytree(bundle, context / "bundle-to-serve")
            arguments += ["--build-arg", "BUNDLE=bundle-to-serve"]
        arguments += pip_settings(Path(directory))
        start = time.monotonic()
        buildah("bud", "--format=docker", "--quiet", *arguments, "--tag", IMAGE, context, capture=False)
        print(f"built {IMAGE} on {base} in {time.monotonic() - start:.0f} s")


def pip_settings(directory: Path) -> list[str]:
    """Options that lend a build the index and the certificates that pip uses here, if it has any of its own."""
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    values = {key.rpartition(".")[2]: value.strip("'") for key, value in settings.items()}
    lines = ["[global]"]
    arguments = []
    for key in ("index-url", "extra-index-url", "trusted-host"):
        kept = [word for word in values.get(key, "").split() if not word.startswith("file:")]
        if kept:
            lines.append(f"{key} = {' '.join(kept)}")
    if certificates := values.get("cert"):
        lines.append(f"cert = {CERTIFICATES}")
        arguments += ["--secret", f"id=certificates,src={certificates}"]
    file = directory / "pip.conf"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [*arguments, "--secret", f"id=pip,src={file}"]


@contextlib.contextmanager
def mounted(image: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The root of a container of an image, and the image's settings."""
    container = buildah("from", "--pull-never", image)
    try:
        described = json.loads(buildah("inspect", container))
        yield Path(buildah("mount", container)), described["Docker"]["config"]
    finally:
        buildah("rm", container)


def sizes(root: Path, ground: Path) -> list[tuple[str, int]]:
    """What a root has more than its base, bytes by part, largest first."""
    parts: dict[str, int] = {}
    counted: set[int] = set()
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.is_symlink() or not path.is_file() or path.stat().st_ino in counted:
            continue
        counted.add(path.stat().st_ino)  # bytecode that is the same with and without docstrings is one file
        below = ground / name
        size = path.stat().st_size
        if below.is_file() and below.stat().st_size == size:
            continue
        parts[part_of(name)] = parts.get(part_of(name), 0) + size
    return sorted(parts.items(), key=lambda part: -part[1])


def part_of(name: Path) -> str:
    """The name under which a file is counted: a package of the runtime, the bundle, or a top directory."""
    if name.parts[0] == "bundle":
        return "bundle"
    if "site-packages" in name.parts:
        part = name.parts[name.parts.index("site-packages") + 1]
        if part == "numpy.libs":
            return "numpy"
        return (
            part if (name.parts[name.parts.index("site-packages") + 2 :]) and "-info" not in part else "other packages"
        )
    return "/" + "/".join(name.parts[:2])


def serve(root: Path, image: dict[str, Any], workers: int) -> dict[str, Any]:
    """Start the image as it says itself, ask it, stop it; what was seen."""
    port = free_port()
    environment = dict(entry.split("=", 1) for entry in image["Env"])
    environment |= {"SLIMNER_PORT_NUMBER": str(port), "SLIMNER_HOST": "127.0.0.1", "SLIMNER_WORKERS": str(workers)}
    started = started_in(root, image["User"], environment, [*image["Entrypoint"], *image["Cmd"]])
    process = subprocess.Popen(started, start_new_session=True)
    try:
        seen: dict[str, Any] = {"user": image["User"], "ready after s": round(ready(process, port), 1)}
        seen["answer"] = ask(port, TEXT)
        for _ in range(200):
            ask(port, TEXT)
        inside = [member for member in family(process.pid) if uids(member) == {image["User"].partition(":")[0]}]
        summed = memory(inside)
        if summed is None or summed.processes < workers + 1:
            raise SystemExit(f"{inside}: not a master and {workers} workers of user {image['User']}")
        seen["processes"], seen["PSS MB"] = summed.processes, round((summed.pss_bytes or 0) / 1e6, 1)
        check = image["Healthcheck"]["Test"][1:]
        seen["health check"] = inside_of(root, image["User"], environment, check)
        seen["health check of another port"] = inside_of(
            root, image["User"], {**environment, "SLIMNER_PORT_NUMBER": str(free_port())}, check
        )
        seen["writing to the root"] = inside_of(root, image["User"], environment, ["touch", "/bundle/x", "/x"])
        if seen["health check"] or not seen["health check of another port"] or not seen["writing to the root"]:
            raise SystemExit(f"not as it should be: {seen}")
        return seen
    finally:
        for master in family(process.pid)[1:2]:  # what an engine does: TERM to the first process, and some patience
            os.kill(master, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()


def started_in(root: Path, user: str, environment: dict[str, str], command: list[str]) -> list[str]:
    """The command line that runs a command in the image's root."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    isolated = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation", "private"]
    return [*isolated, "sh", "-c", START, "sh", str(root), user, *settings, *command]


def inside_of(root: Path, user: str, environment: dict[str, str], command: list[str]) -> int:
    """Exit code of a command in the image's root."""
    done = subprocess.run(started_in(root, user, environment, command), stderr=subprocess.DEVNULL, check=False)
    return done.returncode


def ready(process: subprocess.Popen[bytes], port: int) -> float:
    """Seconds until /readyz answers with 200."""
    start = time.monotonic()
    while time.monotonic() - start < 120:
        if process.poll() is not None:
            raise SystemExit(f"the image ended with {process.returncode}: {shlex.join(map(str, process.args))[:200]}")
        with contextlib.suppress(OSError), straight().open(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            if answer.status == 200:
                return time.monotonic() - start
        time.sleep(0.05)
    raise SystemExit("the image did not get ready in 120 s")


def ask(port: int, text: str) -> list[Any]:
    """Entities of a text."""
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/ner", body, headers={"Content-Type": "application/json"}
    )
    with straight().open(request, timeout=30) as answer:
        entities: list[Any] = json.loads(answer.read())["entities"]
        return entities


def straight() -> urllib.request.OpenerDirector:
    """Requests that go through no proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def uids(process: int) -> set[str]:
    """Real, effective, saved and file system user of a process."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return set()
    return set(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:])


if __name__ == "__main__":
    main()

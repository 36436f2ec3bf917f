"""Builds, starts, loads and times slimner and its peers; the load and the reading of memory are not slimner's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from common import artifact_of  # noqa: E402
from environments import python_of  # noqa: E402
from original import some_texts  # noqa: E402
from slimner.core.machine import thread_environment  # noqa: E402
from slimner.core.store import directory_in_place  # noqa: E402
from slimner.variants import resolve_checkpoint  # noqa: E402

WORKERS = 2
CLIENTS = 5
ROUNDS = 3
OURS = "slimner, onnx-int8"
ORIGINAL = "ModelScope in Flask's server (the original)"
MODEL = "model"


class Peer(msgspec.Struct, frozen=True):
    """An engine of `peer.py` and the environment that has it; `server` is how it is served, empty for engines only."""

    title: str
    engine: str
    environment: str
    server: str = ""


PEERS = (
    Peer("Optimum INT8 pipeline, Gunicorn sync", "optimum-int8", "optimum", "sync"),
    Peer("OpenVINO INT8, Gunicorn preload", "openvino-int8", "openvino", "preload"),
    Peer("CTranslate2 INT8, Gunicorn sync", "ctranslate2-int8", "optimum", "sync"),
    Peer("ModelScope, torch dynamic INT8, Gunicorn preload", "modelscope-int8", "modelscope", "preload"),
    Peer(ORIGINAL, "modelscope-fp32", "modelscope", "flask"),
    Peer("torch dynamic INT8", "torch-int8", "openvino"),
    Peer("torch bf16", "torch-bf16", "openvino"),
    Peer("torch FP32", "torch-fp32", "openvino"),
)


class Loaded(msgspec.Struct, frozen=True):
    """What wrk says of one load."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    errors: int


class Served(msgspec.Struct, frozen=True):
    """One service in one round; memory is the summed PSS of master and workers in MB."""

    first_answer_s: float
    started_mb: float
    one: Loaded
    five: Loaded
    after_mb: float

    @property
    def qps(self) -> float:
        """Answers a second to five clients."""
        return self.five.requests / self.five.seconds


def say(what: str) -> None:
    """Progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {what}\n")


class Harness:
    """Environments, models and measurements below one directory."""

    def __init__(self, work: Path, name: str, seconds: int) -> None:
        self.work, self.name, self.seconds = work, name, seconds
        self.checkpoint = checkpoint = Path(resolve_checkpoint(name).path)
        tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))

        def unchanged(text: str) -> bool:  # ModelScope's tokenizer loses its place at an unknown token
            return tokenizer.encode(text, add_special_tokens=False).tokens == list(text)

        self.texts = some_texts(work / "texts.txt", 40, 50, unchanged)
        self.calibration = some_texts(work / "calibration.txt", 100, 200)
        bodies = [json.dumps({"text": text}) for text in self.texts.read_text(encoding="utf-8").splitlines()]
        self.bodies = work / "bodies.jsonl"
        self.bodies.write_text("\n".join(bodies) + "\n", encoding="utf-8")
        self.artifact = artifact_of(str(checkpoint), "onnx-int8")

    def python(self, environment: str) -> Path:
        """The interpreter of an environment, which is made if it is not there."""
        return python_of(environment, self.work / "environments")

    def model(self, peer: Peer) -> Path:
        """What an engine serves from, built at the first call."""
        name = peer.engine if not peer.engine.startswith("modelscope") else "modelscope"
        out = self.work / "models" / self.checkpoint.name / name
        if not out.exists():
            say(f"building {name}")
            with directory_in_place(out) as directory:
                self._peer(peer, "build", str(self.checkpoint), str(directory / MODEL), str(self.calibration))
        return out / MODEL

    def _peer(self, peer: Peer, task: str, *arguments: str) -> str:
        command = [str(self.python(peer.environment)), str(HERE / "peer.py"), task, peer.engine, *arguments]
        done = subprocess.run(command, env=quiet(), stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def command(self, peer: Peer | None, port: int) -> tuple[list[str], dict[str, str]]:
        """How a service is started; None is slimner's."""
        if peer is None:
            start = [sys.executable, "-P", "-c", "from slimner.cli.main import main; main()", "serve"]
            return [*start, str(self.artifact), "--port", str(port), "--workers", str(WORKERS), "--threads", "1"], {}
        python, model = self.python(peer.environment), self.model(peer)
        if peer.server == "flask":
            return [str(python), str(HERE / "peer.py"), "serve", peer.engine, str(model), str(port)], {}
        command = [str(python), "-m", "gunicorn", "--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}"]
        command += ["--timeout", "300", "--chdir", str(HERE), *(["--preload"] if peer.server == "preload" else [])]
        return [*command, "peer:create_app()"], {"PEER_ENGINE": peer.engine, "PEER_MODEL": str(model)}

    def serve(self, peer: Peer | None) -> Served:
        """Start a service, load it with one client and with five, and end it."""
        path = "/v1/ner" if peer is None else "/predict"
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        command, environment = self.command(peer, port)
        url = f"http://127.0.0.1:{port}{path}"
        begun = time.monotonic()
        with started(command, {**quiet(), **environment}) as process:
            while not answers(url):
                if process.poll() is not None or time.monotonic() > begun + 300:
                    raise SystemExit(f"{peer.title if peer else OURS} did not come up")
                time.sleep(0.05)
            first = time.monotonic() - begun
            time.sleep(2)
            before = summed_pss_mb(process.pid)
            self._load(url, CLIENTS, 3)
            one, five = self._load(url, 1, self.seconds), self._load(url, CLIENTS, self.seconds)
            return Served(first, before, one, five, summed_pss_mb(process.pid))

    def _load(self, url: str, clients: int, seconds: int) -> Loaded:
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(HERE / "post.lua"), url]
        environment = {**os.environ, "PEER_BODIES": str(self.bodies)}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        loaded = msgspec.json.decode(done.stdout.splitlines()[-1], type=Loaded)
        if loaded.errors:
            raise SystemExit(f"{loaded.errors} requests of {url} failed")
        return loaded

    def time(self, peer: Peer | None) -> tuple[float, list[list[tuple[int, int, str]]]]:
        """Median ms a text of a bare engine on one thread, in a process of its own, and its answers."""
        if peer is None:
            command = [sys.executable, str(HERE / "run.py"), "--time", str(self.artifact), str(self.texts)]
            found = subprocess.run(command, env=quiet(), stdout=subprocess.PIPE, text=True, check=True).stdout
        else:
            found = self._peer(peer, "time", str(self.model(peer)), str(self.texts))
        told = json.loads(found.splitlines()[-1])
        return told["p50_ms"], [[tuple(entity) for entity in answer] for answer in told["answers"]]


def quiet() -> dict[str, str]:
    """One thread a process, and nothing asked of any hub."""
    return {**os.environ, **thread_environment(1), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


@contextlib.contextmanager
def started(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A service, ended with all its processes."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            yield process
        except SystemExit:
            output.seek(0)
            sys.stderr.write(output.read().decode("utf-8", "replace")[-4000:])
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether a text is answered."""
    body = json.dumps({"text": "第一次会议今天在上海举行。"}).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=60
        ) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def summed_pss_mb(leader: int) -> float:
    """Summed PSS of a process and its descendants in MB."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    tree = {leader}
    while grown := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= grown
    total = 0
    for pid in tree:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024 / 1e6

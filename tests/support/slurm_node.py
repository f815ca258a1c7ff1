"""A Slurm of one node, as a process tree of its own: munged, slurmctld and slurmd in the foreground, no accounting."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
_SBIN = "/usr/sbin:/sbin"

CONF = """ClusterName=xner
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=2
"""


def lacking() -> str:
    """Why there can be no such node here; "" where there can."""
    missing = [name for name in NEEDED if _which(name) is None]
    return f"no {', '.join(missing)}: apt-get install slurm-wlm munge" if missing else ""


@contextmanager
def slurm_node(folder: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """Start the node; yields the environment in which Slurm's commands reach it. It is torn down at the end.

    Raises:
        RuntimeError: it does not come up; with the end of the logs.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key, conf = folder / "munge.key", folder / "slurm.conf"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    facts = {"host": socket.gethostname().partition(".")[0], "user": getpass.getuser(), "folder": folder}
    conf.write_text(CONF.format(**facts, ports=_free_ports(2), cpus=cpus))
    files = {"key": "munge.key", "socket": "munge.socket", "pid": "munged.pid", "log": "munged.log", "seed": "seed"}
    options = {"key": "key-file", "socket": "socket", "pid": "pid-file", "log": "log-file", "seed": "seed-file"}
    munge = [f"--{options[name]}={folder / file}" for name, file in files.items()]
    environment = {"SLURM_CONF": str(conf), "PATH": f"{os.environ['PATH']}{os.pathsep}{_SBIN}"}
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(_start(folder, "munged", ["--foreground", "--force", *munge], environment))
        _until(lambda: (folder / "munge.socket").exists(), folder, "munged")
        for daemon in ("slurmctld", "slurmd"):
            started.append(_start(folder, daemon, ["-D", "-c", "-f", str(conf)], environment))
        _until(lambda: "idle" in _said(["sinfo", "--noheader", "--format=%T"], environment), folder, "the node")
        yield environment
    finally:
        _said(["scancel", f"--user={getpass.getuser()}"], environment)
        deadline = time.monotonic() + 15
        while _said(["squeue", "--noheader"], environment) and time.monotonic() < deadline:
            time.sleep(0.5)
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(folder: Path, daemon: str, arguments: Sequence[str], more: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [str(_which(daemon)), *arguments]
    with (folder / f"{daemon}.out").open("wb") as log:
        return subprocess.Popen(command, env=os.environ | more, stdout=log, stderr=log, start_new_session=True)


def _until(ready: object, folder: Path, what: str, seconds: float = 90) -> None:
    assert callable(ready)
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            logs = [f"{path.name}: {path.read_text(errors='replace')[-800:]}" for path in folder.glob("*.out")]
            raise RuntimeError(f"{what} does not come up: {' '.join(logs)}")
        time.sleep(0.2)


def _said(command: Sequence[str], environment: dict[str, str]) -> str:
    """Standard output; "" where the command fails, as it does until the controller answers."""
    ran = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    return ran.stdout.strip() if ran.returncode == 0 else ""


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

"""A stand-in for SLURM on one machine: its commands, and a controller that runs jobs as local processes.

Installed under the names of SLURM's commands (:func:`install`), all of them this file. What it keeps is one SQLite
database in ``$FAKE_SLURM``. It covers what a launcher meets: arrays with a limit, requeueing, signals to steps, grace
periods, refusals, accounting that never heard of elements that were cancelled while they waited.
"""

import fcntl
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from fork_server import ask

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun")
DEFAULTS = {"MaxArraySize": 1001, "partitions": ["debug", "gpu"], "gpus": 4, "requeue_seconds": 0.2, "kill_wait": 1.0}
DEFAULTS |= {"time_limit": "7-00:00:00"}
TABLE = """create table if not exists jobs (
    array int, element int, name text, state text, reason text, script text, folder text, environment text, slots int,
    restarts int default 0, pid int default 0, wish text default '', ready real default 0, ended real,
    code int default 0, accounted int default 0,
    tasks int)"""


def install(folder, **settings):
    """Write the commands and the settings into a folder, and return what the environment needs."""
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({**DEFAULTS, **settings}))
    for name in COMMANDS:
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{Path(__file__).resolve()}" {name} "$@"\n')
        command.chmod(0o755)
    return {"FAKE_SLURM": str(folder), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def home():
    return Path(os.environ["FAKE_SLURM"])


def setting(name):
    return json.loads((home() / "settings.json").read_text())[name]


def sql(query, *values):
    """Run one statement in a transaction of its own; rows come back as dictionaries."""
    with closing(sqlite3.connect(home() / "jobs.db", timeout=60, isolation_level=None)) as base:
        base.row_factory = sqlite3.Row
        base.execute("begin immediate")
        base.execute(TABLE)
        rows = [dict(row) for row in base.execute(query, values)]
        base.execute("commit")
    return rows


def fail(command, text):
    print(f"{command}: error: {text}", file=sys.stderr)
    sys.exit(1)


def id_of(job):
    return str(job["array"]) if job["element"] < 0 else f"{job['array']}_{job['element']}"


def named(ids):
    """The jobs that ids of arrays or elements mean."""
    for text in ids:
        array, _, element = text.partition("_")
        rows = sql("select rowid, * from jobs where array = ? order by element", int(array))
        yield from (row for row in rows if not element or row["element"] == int(element))


def sbatch(arguments):
    with (home() / "calls.txt").open("a") as calls:
        calls.write(" ".join(arguments[:-1]) + "\n")
    script = Path(arguments[-1])
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script.read_text(), re.MULTILINE))
    options |= {
        name.removeprefix("SBATCH_").lower(): value for name, value in os.environ.items() if name.startswith("SBATCH_")
    }
    if not {*options.get("partition", "debug").split(",")} <= {*setting("partitions")}:
        fail("sbatch", f"invalid partition specified: {options['partition']}")
    if int(options.get("gpus-per-node", 0)) > setting("gpus"):
        fail("sbatch", "Batch job submission failed: Requested node configuration is not available")
    found = re.fullmatch(r"0-(\d+)(?:%(\d+))?", options.get("array", ""))
    count = int(found[1]) + 1 if found else 1
    if count > setting("MaxArraySize"):
        fail("sbatch", "Batch job submission failed: Invalid job array specification")
    if "--test-only" in arguments:
        return
    delay = float(options.get("begin", "now+0").removeprefix("now+"))
    array = (sql("select max(array) as last from jobs")[0]["last"] or 100) + 1
    with closing(sqlite3.connect(home() / "jobs.db", timeout=60)) as base, base:
        base.executemany(
            "insert into jobs (array, element, name, state, reason, script, folder, environment, slots, ready, tasks) "
            "values (?, ?, ?, 'PENDING', 'Priority', ?, ?, ?, ?, ?, ?)",
            [
                (
                    array,
                    element if found else -1,
                    options["job-name"],
                    script.read_text(),
                    os.getcwd(),
                    json.dumps(dict(os.environ)),
                    int(found[2] or 1000) if found else 1,
                    time.time() + delay,
                    int(options.get("ntasks-per-node", 1)),
                )
                for element in range(count)
            ],
        )
    print(f"Submitted batch job {array}")
    sys.stdout.flush()
    if os.environ.get("FAKE_SLURM_HOLD") != "1":
        start_controller()


def start_controller():
    subprocess.Popen(
        [sys.executable, "-S", "-E", __file__, "controller"],
        stdin=subprocess.DEVNULL,
        stdout=(home() / "controller.log").open("a"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def controller(arguments):
    """Run jobs until none waits or runs; a second controller ends at once."""
    lock = (home() / "controller.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    children = {}
    idle = time.monotonic()
    while time.monotonic() - idle < 2 and not (home() / "closed").exists():
        for job in sql("select rowid, * from jobs where state in ('PENDING', 'RUNNING')"):
            idle = time.monotonic()
            if job["state"] == "RUNNING":
                watch(job, children)
            elif job["ready"] <= time.time():
                running = sql("select count(*) as n from jobs where array = ? and state = 'RUNNING'", job["array"])
                if running[0]["n"] < job["slots"]:
                    children[job["rowid"]] = [begin(job), None]
        time.sleep(0.05)


def begin(job):
    own = {"SLURM_JOB_ID": str(1000 * job["array"] + max(job["element"], 0)), "SLURM_NTASKS": str(job["tasks"])}
    if job["element"] >= 0:
        own |= {"SLURM_ARRAY_JOB_ID": str(job["array"]), "SLURM_ARRAY_TASK_ID": str(job["element"])}
    else:
        own["SLURM_JOB_ID"] = str(job["array"])
    if job["restarts"]:
        own["SLURM_RESTART_COUNT"] = str(job["restarts"])
    script = home() / f"{id_of(job)}.sh"
    script.write_text(job["script"])
    process = subprocess.Popen(
        ["bash", str(script)], cwd=job["folder"], env={**json.loads(job["environment"]), **own}, start_new_session=True
    )
    sql(
        "update jobs set state = 'RUNNING', reason = 'None', pid = ?, wish = '', accounted = 1 where rowid = ?",
        process.pid,
        job["rowid"],
    )
    return process


def watch(job, children):
    """Grant what was wished of a running job, and see whether it has ended."""
    process, asked = children[job["rowid"]]
    if job["wish"]:
        if asked is None:
            signal_steps(job, signal.SIGTERM)
            children[job["rowid"]][1] = time.monotonic()
        elif time.monotonic() - asked > setting("kill_wait"):
            signal_steps(job, signal.SIGKILL)
            process.kill()
    code = process.poll()
    if code is None:
        return
    if job["wish"] == "requeue":
        ready = time.time() + setting("requeue_seconds")
        sql(
            "update jobs set state = 'PENDING', reason = 'BeginTime', restarts = restarts + 1, ready = ? "
            "where rowid = ?",
            ready,
            job["rowid"],
        )
    else:
        state = job["wish"] or ("COMPLETED" if code == 0 else "FAILED")
        sql(
            "update jobs set state = ?, reason = 'None', ended = ?, code = ? where rowid = ?",
            state,
            time.time(),
            code,
            job["rowid"],
        )


def signal_steps(job, number):
    """Signal the tasks of a job, not the shell that waits for them."""
    for path in home().glob(f"step-{id_of(job)}-*"):
        try:
            os.killpg(int(path.read_text()), number)
        except (ProcessLookupError, ValueError):
            path.unlink(missing_ok=True)


def srun(arguments):
    output, command = None, list(arguments)
    while command[0].startswith("--"):
        word = command.pop(0)
        if word in ("--output", "--error"):
            output = command.pop(0)
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    own, count = f"{array}_{element}" if array else os.environ["SLURM_JOB_ID"], int(os.environ["SLURM_NTASKS"])
    steps, ends = [], []
    for rank in range(count):
        log = output
        for mark, value in {"%A": array, "%a": element, "%j": os.environ["SLURM_JOB_ID"], "%t": str(rank)}.items():
            log = log.replace(mark, value or "")
        place = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_STEP_NUM_TASKS": str(count)}
        task, end = start_task(command, log, {**os.environ, **place, "SLURM_STEP_ID": "0"})
        steps.append(home() / f"step-{own}-{task}")
        steps[-1].write_text(str(task))
        ends.append(end)
    codes = [0] * count

    def wait(number):
        codes[number] = ends[number]()
        steps[number].unlink(missing_ok=True)
        if codes[number] and "--kill-on-bad-exit=1" in arguments:
            for step in steps:
                with suppress(FileNotFoundError, ProcessLookupError):
                    os.killpg(int(step.read_text()), signal.SIGKILL)

    waiting = [threading.Thread(target=wait, args=(number,)) for number in range(count)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    worst = max(codes, key=abs)
    sys.exit(worst if worst >= 0 else 128 - worst)


def start_task(command, log, environment):
    """Start a task; return its process id, and what waits for it and returns its exit code."""
    fork_server = home() / "fork_server"
    if fork_server.exists():
        told = ask(str(fork_server), {"environment": environment, "output": log, "folder": command[-1]})
        return next(told), lambda: next(told)
    with open(log, "a") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    return process.pid, process.wait


def squeue(arguments):
    names = set(arguments[arguments.index("-n") + 1].split(","))
    form = arguments[arguments.index("-o") + 1]
    for job in sql("select * from jobs order by array, element"):
        if job["name"] not in names:
            continue
        ended = "N/A" if job["ended"] is None else stamp(job["ended"])
        values = {
            "%F": job["array"],
            "%K": job["element"] if job["element"] >= 0 else "N/A",
            "%T": job["state"],
            "%r": job["reason"],
            "%e": ended,
            "%B": "node1",
        }
        print(re.sub(r"%\w", lambda mark, values=values: str(values[mark[0]]), form))


def sacct(arguments):
    ids = arguments[arguments.index("-j") + 1].split(",")
    for job in named(ids):
        if job["accounted"]:
            ended = "Unknown" if job["ended"] is None else stamp(job["ended"])
            print(f"{id_of(job)}|{job['state']}|{job['code']}:0|{ended}")


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))


def scancel(arguments):
    number = next((word.partition("=")[2] for word in arguments if word.startswith("--signal=")), None)
    name = next((word.partition("=")[2] for word in arguments if word.startswith("--name=")), None)
    asked = (
        sql("select rowid, * from jobs where name = ?", name)
        if name
        else named([w for w in arguments if w[:2] != "--"])
    )
    for job in asked:
        if number:
            signal_steps(job, getattr(signal, f"SIG{number}"))
        elif job["state"] == "PENDING":
            sql("update jobs set state = 'CANCELLED', ended = ? where rowid = ?", time.time(), job["rowid"])
        elif job["state"] == "RUNNING":
            sql("update jobs set wish = 'CANCELLED' where rowid = ?", job["rowid"])


def scontrol(arguments):
    if arguments[:2] == ["show", "config"]:
        print(f"Configuration data as of now\nMaxArraySize            = {setting('MaxArraySize')}")
    elif arguments[0] == "requeue":
        for job in named(arguments[1:]):
            sql("update jobs set wish = 'requeue' where rowid = ?", job["rowid"])


def jobs():
    """All jobs, for tests to look at."""
    return sql("select * from jobs order by array, element")


def set_jobs(**columns):
    """Change all jobs, for tests of what a launcher makes of it."""
    sql(f"update jobs set {', '.join(f'{name} = ?' for name in columns)}", *columns.values())


def end_all():
    """Kill whatever runs, and wait until the controller is gone."""
    set_jobs(wish="CANCELLED")
    sql("update jobs set state = 'CANCELLED' where state = 'PENDING'")
    for job in jobs():
        signal_steps(job, signal.SIGKILL)
    (home() / "closed").touch()
    with (home() / "controller.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def calls():
    """The options of every call of sbatch."""
    return (home() / "calls.txt").read_text().splitlines()


def sinfo(arguments):
    limit = f"|{setting('time_limit')}" if "%P|%l" in arguments else ""
    first, *others = setting("partitions")
    print("\n".join(f"{name}{limit}" for name in [f"{first}*", *others]))


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])

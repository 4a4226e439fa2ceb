from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from kernelwright.errors import StoreError
from kernelwright.proposers.base import Candidate
from kernelwright.store import Store
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Task

MakeTask = Callable[..., Task]


def database() -> Path:
    return Path(os.environ["KERNELWRIGHT_HOME"]) / "kernelwright.db"


def test_what_is_no_database_is_named_with_a_remedy() -> None:
    database().parent.mkdir()
    database().write_bytes(b"this is no database, " * 100)
    with pytest.raises(StoreError, match=f"^{database()}: the database is damaged; move the file away"):
        Store()


def test_a_damaged_page_is_named_with_a_remedy(make_task: MakeTask, target: TargetInfo) -> None:
    store = Store()
    run = store.create(make_task(), target, {}, 0)
    for number in range(300):
        store.propose(run, Candidate(source=f"{number} " * 50, language="cpp"))
    store.close()
    data = bytearray(database().read_bytes())
    data[4096:-4096] = os.urandom(len(data) - 8192)
    database().write_bytes(data)
    with pytest.raises(StoreError, match=r"kernelwright.db: .*damaged"):
        Store().nodes(run)


def test_another_schema_is_refused_and_left_alone() -> None:
    Store().close()
    engine = create_engine(f"sqlite:///{database()}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"has tables of version 99, this Kernelwright needs version 4; use the"):
        Store()


def test_somebody_elses_database_is_refused_and_left_alone() -> None:
    database().parent.mkdir()
    engine = create_engine(f"sqlite:///{database()}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE recipes (id INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreError, match="holds no Kernelwright tables"):
        Store()


@pytest.mark.parametrize(
    "url", ["nonsense", "mysterysql://host/name", "mysql://host/name", "sqlite:////nonexistent/store.db"]
)
def test_an_address_that_leads_nowhere_is_named_with_a_remedy(url: str) -> None:
    with pytest.raises(StoreError, match=r"(nonsense|mysterysql|mysql|/nonexistent/store.db).*; "):
        Store(url)


def test_a_read_only_folder_is_one_line(tmp_path: Path) -> None:
    """Root may write anywhere, so root becomes somebody else."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    script = (
        "import os, sys\n"
        "from kernelwright.errors import KernelwrightError\n"
        "from kernelwright.store import Store\n"
        "Store('sqlite://').close()  # imports everything while it can be read\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: Store(sys.argv[1])\n"
        "except KernelwrightError as error: print(error)\n"
    )
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{folder}/store.db"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{folder}/store.db: the database cannot be opened; ")
    assert done.stdout.count("\n") == 1


def test_a_database_that_became_read_only_is_one_line(make_task: MakeTask, target: TargetInfo) -> None:
    store = Store()
    run = store.create(make_task(), target, {}, 0)
    store._database.engine.dispose()
    engine = store._database.engine

    from sqlalchemy import event

    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreError, match=r"kernelwright.db: the database cannot be written; make it"):
        store.propose(run, Candidate(source="a", language="cpp"))


def test_writers_wait_for_each_other(make_task: MakeTask, target: TargetInfo) -> None:
    store = Store()
    runs = [store.create(make_task(), target, {}, 0) for _ in range(4)]
    processes = [multiprocessing.get_context("spawn").Process(target=_propose, args=(run, 25)) for run in runs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert all([node.number for node in store.nodes(run)] == list(range(1, 26)) for run in runs)


def _propose(run: str, count: int) -> None:
    store = Store()
    for number in range(count):
        store.propose(run, Candidate(source=f"{run} {number}", language="cpp"))


def test_processes_that_open_a_new_store_together_make_one() -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=Store) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]


def test_a_new_database_is_waited_for_while_another_process_begins_it() -> None:
    # Whoever asks for WAL while another holds this lock is not kept waiting by SQLite but refused.
    database().parent.mkdir()
    first = sqlite3.connect(database(), isolation_level=None, check_same_thread=False)
    first.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(Store)
        assert not wait([second], timeout=0.3).done
        first.execute("COMMIT")
        second.result().close()
    first.close()


def test_a_killed_holder_frees_its_run_though_its_children_live(make_task: MakeTask, target: TargetInfo) -> None:
    store = Store()
    run = store.create(make_task(), target, {}, 0)
    script = (
        "import subprocess, sys, time\n"
        "from kernelwright.store import Store\n"
        "with Store().locked(sys.argv[1]):\n"
        "    child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, run], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(StoreError, match=f"process {holder.pid} on"), store.locked(run):
            pass
        holder.kill()
        holder.wait()
        with store.locked(run):
            assert store.run(run).owner.startswith(f"{os.getpid()}@")
    finally:
        holder.stdout.close()
        os.kill(child, signal.SIGKILL)


def test_looking_at_a_run_never_disturbs_who_takes_it(make_task: MakeTask, target: TargetInfo) -> None:
    store = Store()
    run = store.create(make_task(), target, {}, 0)
    locks = database().parent / "locks"
    locks.mkdir()
    looker = multiprocessing.get_context("spawn").Process(target=_look, args=(run,))
    looker.start()
    try:
        for _ in range(100):
            (locks / f"{run}.lock").touch()  # as a killed holder leaves it
            with store.locked(run):
                pass
    finally:
        looker.kill()
        looker.join()


def _look(run: str) -> None:
    store = Store()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        store.run(run)

"""Programs that read hostile bytes stay within their limits, see nothing of the host, and never outlive their caller."""

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalog.errors import ConversionFailed, MissingProgram, ProgramFailed
from storage.programs import qemu_img
from storage.programs.confine import Limits, confined, run, running
from tests.services.images import need
from tests.storage.corpus_builders import MIB, descriptor, extension, qcow2, vmdk

TRACED = "open,openat,openat2,creat,execve,connect,name_to_handle_at,open_by_handle_at"


def script(text: str, limits: Limits) -> bytes:
    return run(sys.executable, ["-I", "-c", text], limits).out


def test_a_program_sees_an_empty_folder_and_hardly_any_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = script("import os; print(sorted(os.environ), os.listdir('.'))", Limits()).decode()
    assert "AWS" not in seen
    assert "PREFECT" not in seen
    assert seen.strip().endswith("[]")


def test_a_program_has_no_network() -> None:
    text = "import socket; print([n for _, n in socket.if_nameindex()])"
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel lets nobody make a network namespace")
    assert script(text, Limits()).decode().strip() in ("['lo']", "[]")


@pytest.mark.parametrize(
    ("text", "limits", "reason"),
    [
        ("while True: pass", Limits(cpu_s=1, wall_s=60), "processor time"),
        ("import time; time.sleep(60)", Limits(wall_s=0.5), r"more than 0\.5 s"),
        ("while True: print('x' * 10000)", Limits(output_bytes=100_000), "printed more than 100000"),
        (
            "import sys\nwhile True: sys.stderr.write('x' * 10000)",
            Limits(output_bytes=100_000),
            "printed more",
        ),
        (
            "import signal; signal.signal(25, 0); open('x', 'w').write('y' * 9999999)",
            Limits(file_bytes=4096),
            "file size",
        ),
    ],
    ids=["processor", "wall", "output", "errors", "file"],
)
def test_a_program_past_a_limit_is_ended(text: str, limits: Limits, reason: str) -> None:
    with pytest.raises(ProgramFailed, match=reason):
        script(text, limits)


def test_a_program_past_its_memory_fails() -> None:
    output = run(sys.executable, ["-I", "-c", "bytearray(1 << 30)"], Limits(memory_bytes=512 << 20))
    assert output.code != 0
    assert "MemoryError" in output.complaint


def test_an_exception_ends_the_program_and_what_it_started() -> None:
    group = 0

    def interrupted() -> None:
        nonlocal group
        with running([*confined("sh", Limits()), "-c", "sleep 60 & sleep 60"]) as process:
            group = process.pid
            time.sleep(0.3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    time.sleep(0.1)
    assert [pid for pid in _processes() if _group(pid) == group and _alive(pid)] == []


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def test_the_program_dies_with_its_caller(tmp_path: Path) -> None:
    text = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from storage.programs.confine import *
with running([*confined("sleep", Limits()), "60"]) as process:
    print(process.pid, flush=True)
    import time; time.sleep(60)
"""
    caller = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
    assert caller.stdout
    child = int(caller.stdout.readline())
    _wait_for_children(child)  # the parent-death signal is set before the program starts
    watched = os.pidfd_open(child)  # readable once it has ended; /proc shows less and less of it for a while before
    caller.kill()
    caller.wait()
    caller.stdout.close()
    assert select.select([watched], [], [], 30)[0]
    os.close(watched)


def test_a_program_whose_caller_died_before_it_was_ready_does_not_start(tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    command = [
        *confined("touch", Limits(file_bytes=1)),
        str(mark),
    ]  # for this process, which is not the one to start it
    text = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    assert subprocess.run([sys.executable, "-c", text, *command], check=False).returncode == 1
    assert not mark.exists()
    assert subprocess.run(command, check=False).returncode == 0
    assert mark.exists()


def _wait_for_children(pid: int) -> None:
    """Wait until the program runs, in the process itself or below it."""
    end = time.monotonic() + 30
    while time.monotonic() < end and "sleep" not in _commands(pid):
        time.sleep(0.05)


def _commands(pid: int) -> list[str]:
    """Return what a process and those below it run."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = Path(f"/proc/{pid}/comm").read_text().strip()
    return [own, *(command for child in below for command in _commands(int(child)))]


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgram, match="qemu-img is not installed on this worker; install qemu-utils"):
        qemu_img.info(tmp_path / "x", "raw")


def traced(tmp_path: Path, *command: str) -> list[str]:
    """Run a command under strace and return the lines of all files that it and its children tried to open."""
    need("strace")
    log = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-s", "4096", "-e", f"trace={TRACED}", "-o", str(log), *command],
        check=False,
        capture_output=True,
    )
    if b"ptrace" in done.stderr or not log.exists():
        pytest.skip(f"strace can't trace here: {done.stderr.decode(errors='replace')[:200]}")
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return log.read_text(errors="replace").splitlines()


def test_inspection_opens_nothing_but_the_given_files(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    program = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from storage.formats.inspector import inspect_reader
from storage.local_files import LocalReader
from tests.storage.corpus import LIMIT, hostile_files
from tests.storage.corpus_builders import qcow2, vmdk
folder = Path({str(folder)!r})
def look(path):
    with LocalReader(path) as file:
        return inspect_reader(file, LIMIT)
for name, content in (("warm-1", qcow2()), ("warm-2", vmdk())):
    (folder / name).write_bytes(content)
    look(folder / name)
names = []
for number, hostile in enumerate(hostile_files()):
    (folder / str(number)).write_bytes(hostile.content)
    names.append(folder / str(number))
Path("/marker-of-the-test").exists() or open("/dev/null")
for name in names:
    assert not look(name).safe
open("/dev/full")
"""
    lines = traced(tmp_path, sys.executable, "-c", program)
    begin = next(i for i, line in enumerate(lines) if '"/dev/null"' in line)
    end = next(i for i, line in enumerate(lines) if '"/dev/full"' in line)
    opened = [line for line in lines[begin + 1 : end] if "open" in line]
    assert len(opened) >= 150
    assert [line for line in opened if f'"{folder}/' not in line] == []


def test_the_survey_of_a_file_system_opens_nothing_at_all(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(qcow2(backing=b"/etc/passwd", l2=(5 * 65536,) * 100))
    program = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from storage.boot.facts import boot_facts
from storage.local_files import LocalReader
print(boot_facts(LocalReader(Path({str(image)!r})), "qcow2", timeout_s=60))
"""
    lines = traced(tmp_path, sys.executable, "-c", program)
    child = next(line.split()[0] for line in lines if "execve" in line and "storage.boot.probe.main" in line)
    attempts = [line for line in lines if line.startswith(child) and "open" in line]
    assert attempts
    assert [line for line in attempts if "/etc/passwd" in line or str(image) in line] == []


def test_qemu_img_never_opens_what_an_image_refers_to(tmp_path: Path) -> None:
    need("qemu-img")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 20_000)
    backed, data, parent = tmp_path / "backed.qcow2", tmp_path / "data.qcow2", tmp_path / "parent.vmdk"
    backed.write_bytes(qcow2(backing=str(secret).encode()))
    data.write_bytes(qcow2(extensions=extension(0x44415441, str(secret).encode())))
    parent.write_bytes(vmdk(text=descriptor(more=f'parentFileNameHint="{secret}"')))
    program = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from catalog.errors import ImagewrightError
from storage.programs import qemu_img
for path, kind in (({str(backed)!r}, "qcow2"), ({str(data)!r}, "qcow2"), ({str(parent)!r}, "vmdk")):
    for go in (lambda: qemu_img.info(Path(path), kind), lambda: qemu_img.convert(Path(path), kind, "raw", Path(path + ".raw"), lambda *_: None)):
        try:
            go()
        except ImagewrightError as error:
            print(error)
"""
    lines = traced(tmp_path, sys.executable, "-c", program)
    assert any("qemu-img" in line for line in lines)
    assert [line for line in lines if "open" in line and f'"{secret}"' in line] == []
    assert not any(b"secretsecret" in path.read_bytes() for path in tmp_path.glob("*.raw"))


def test_a_conversion_that_grows_past_its_size_is_ended(tmp_path: Path) -> None:
    need("qemu-img")
    bomb = tmp_path / "bomb.qcow2"
    bomb.write_bytes(qcow2(size=512 * MIB, l2=(5 * 65536,) * 8192))
    with pytest.raises((ConversionFailed, ProgramFailed)):
        run_limited_convert(bomb, tmp_path / "out.raw")


def run_limited_convert(source: Path, target: Path) -> None:
    arguments = qemu_img.convert_command(source, "qcow2", "raw", str(target))
    output = run("qemu-img", ["convert", *arguments], Limits(file_bytes=16 * MIB))
    if output.code:
        raise ProgramFailed("qemu-img", output.complaint)


def test_no_scratch_folder_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script("print(1)", Limits())
    with pytest.raises(ProgramFailed):
        script("import time; time.sleep(9)", Limits(wall_s=0.2))
    assert list(tmp_path.iterdir()) == []
    assert shutil.which("prlimit")

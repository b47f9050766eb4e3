"""Hostile and careless hand-ins: none gains a point, none hurts another, all get a report."""

import os
import re
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from nerdrain.course import confine
from nerdrain.course.grading import grade_all
from nerdrain.course.handins import (
    ABSENT,
    LARGEST,
    HandIn,
    find_student,
    read_handin,
    read_handins,
)
from nerdrain.course.items import Answer, Item, Verdict
from nerdrain.course.sandbox import launch

LANDLOCK = pytest.mark.skipif(confine.landlock_version() < 1, reason="the kernel has no Landlock")

# A body of `scale` (and of `describe`), and a part of the feedback.
BODIES = {
    "endless loop": ("while True: pass", "it (took longer than|used more than .* processor)"),
    "sleep": ("import time; time.sleep(60)", "took longer than 3 s"),
    "fork bomb": ("import os\n    while True: os.fork()", "more than 4 processes"),
    "8 GB": ("import torch; return torch.ones(10**9, dtype=torch.float64)", "MiB of memory|longer"),
    "exit": ("import os; os._exit(0)", r"without a result \(exit code 0\)"),
    "sys.exit": ("raise SystemExit(0)", "SystemExit"),
    "crash": ("import os; os.abort()", "signal SIGABRT"),
    "10 MB of output": ("print('x' * 10**7)", "printed more than 64 KiB|OSError"),
    "large file": ("open('big', 'wb').write(bytes(2 * 10**6))", "OSError"),
    "many files": (
        "\n    for i in range(20): open(str(i), 'wb').write(bytes(10**6))\n"
        "    import time; time.sleep(3)",
        "wrote more than 4 MiB",
    ),
    "many open files": ("files = [open(__file__) for _ in range(500)]", "OSError"),
    "kills the launcher": ("import os; os.kill(os.getppid(), 9)", "PermissionError|ended"),
    "no tensor": ("return object()", "a object is not a tensor"),
    "endless structure": ("a = []; a.append(a); return a", "recursion"),
    "nan": ("return x * float('nan')", "not finite"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_runaway_is_ended_and_explained(grade, name):
    body, feedback = BODIES[name]
    source = (
        f"def scale(x):\n    {body}\ndef describe(numbers):\n    return {{'count': 2, 'sum': 3.5}}"
    )
    found = grade(source)
    assert found.points == 1  # of the other item: each has its own process
    assert pytest.approx(0) == found.results[0].points
    assert found.is_complete
    assert re.search(feedback, found.results[0].feedback), found.results[0].feedback


def test_no_process_is_left_and_the_next_hand_in_is_graded(grade, solution, launcher):
    source = """
        import os, subprocess, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
    """
    assert grade(source).points == 0
    process = psutil.Process(launcher._process.pid)
    assert confine.descendants(process) == []
    assert grade(solution).points == 3


def test_forged_results_are_no_expected_values(grade):
    source = """
        import json, os
        from pathlib import Path
        answers = Path("..") / "answers"
        for number in range(2):
            (answers / f"{number}.json").write_text(json.dumps(
                {"dict": [[{"scalar": "value"}, {"scalar": "correct"}],
                          [{"scalar": "share"}, {"scalar": 1.0}]]}))
            (answers / f"{number}.safetensors").write_bytes(bytes([2, 0, 0, 0, 0, 0, 0, 0]) + b"{}")
        (answers.parent / "grades.csv").write_text("s1,3")
        os._exit(0)
    """
    found = grade(source)
    assert found.points == 0
    assert "is a str and not a tensor" in found.results[0].feedback


@pytest.mark.parametrize(
    "action",
    [
        "target.write_bytes(pickle.dumps(Bad()))",
        "os.symlink('/dev/zero', target)",
        "os.mkfifo(target)",
        "target.write_text('[' * 10**5)",
        "target.mkdir()",
        "target.parent.rmdir(); os.symlink('/', target.parent)",
        'target.write_text(\'{"array": "7"}\')',
        "open(target, 'wb').truncate(10**6); open(target.with_name('0.safetensors'), 'w')",
    ],
)
def test_damaged_result_files_are_refused(grade, action):
    source = f"""
        import os, pickle
        from pathlib import Path
        class Bad:
            def __reduce__(self):
                return (os.system, ("touch pickled",))
        target = Path("..").resolve() / "answers" / "0.json"
        target.with_name("0.safetensors").write_bytes(bytes([2]) + bytes(7) + b"{{}}")
        target.with_name("0.safetensors").unlink() if "rmdir" in {action!r} else None
        {action}
        os._exit(0)
    """
    started = time.monotonic()
    found = grade(source)
    assert found.points == 0 and found.is_complete
    assert time.monotonic() - started < 20
    assert not Path("pickled").exists()


def test_a_malicious_pickle_of_the_hand_in_is_never_opened(grade, solution, tmp_path):
    found = grade(solution, **{"weights.pkl": b"cos\nsystem\n(S'touch pickled'\ntR."})
    assert found.points == 3
    assert not Path("pickled").exists()


def test_patched_functions_change_only_the_workers_own_values(grade):
    source = """
        import numpy, torch
        numpy.allclose = torch.allclose = torch.equal = lambda *a, **k: True
        torch.Tensor.__eq__ = lambda *a: True
        numpy.abs = numpy.testing.assert_allclose = lambda *a, **k: 0
        import nerdrain.course.items as items
        items.compare = lambda *a: None
        import nerdrain.course.worker, nerdrain.course.exchange
        def scale(x):
            return x
        def describe(numbers):
            return "as expected"
    """
    assert grade(source).points == 0


@LANDLOCK
def test_the_files_of_the_grader_and_of_others_cannot_be_read(grade, task, tmp_path):
    other = tmp_path / "other.zip"
    other.write_text("secret of another student")
    grader = task.folder / "grader" / "grade.py"
    for path in (
        other,
        grader,
        Path(__file__),
        Path.home() / ".profile",
        f"/proc/{os.getpid()}/maps",
    ):
        found = grade(f"def scale(x):\n    return open({str(path)!r}).read()")
        assert "PermissionError" in found.results[0].feedback, path


@LANDLOCK
def test_nothing_outside_its_folder_can_be_deleted_or_written(grade, tmp_path):
    (tmp_path / "keep.txt").write_text("kept")
    source = f"""
        import os, shutil
        shutil.rmtree({str(tmp_path)!r}, ignore_errors=True)
        shutil.rmtree("..", ignore_errors=True)
        try:
            open({str(tmp_path / "new.txt")!r}, "w")
        except PermissionError:
            pass
    """
    found = grade(source)
    assert found.points == 0 and found.is_complete
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


@LANDLOCK
def test_no_connection_can_be_made(grade):
    if confine.landlock_version() < 4:
        pytest.skip("this version of Landlock knows no network")
    source = "import socket\ndef scale(x):\n    socket.create_connection(('127.0.0.1', 9), 1)"
    assert "PermissionError" in grade(source).results[0].feedback


def test_a_worker_inherits_no_file_and_no_variable(grade, monkeypatch):
    monkeypatch.setenv("NERDRAIN_SECRET", "key")
    source = """
        import os
        def describe(numbers):
            assert "NERDRAIN_SECRET" not in os.environ
            assert not [n for n in os.listdir("/proc/self/fd") if int(n) > 3]
            return {"count": 2, "sum": 3.5}
    """
    if Path("/proc/self/fd").is_dir():
        assert grade(source).results[1].points == 1


def test_files_that_a_judge_reads_are_data(task, launcher):
    def judge(answers: list[Answer]) -> Verdict:
        return Verdict(float([each.value for each in answers] == [b"1", None]))

    item = Item("read", 1, [], judge, reads=("weights", "missing"))
    assert task.grade(HandIn("s1", {"weights": b"1"}), launcher, [item]).points == 1
    assert task.grade(HandIn("s1", {}, refused="it is late."), launcher, [item]).points == 0


def test_wrong_names_and_notebooks_are_explained(task, launcher, solution):
    variant = task.variant_file("s1")
    handin = HandIn("s1", {"scaling.ipynb": b"{}", "variant.json": variant})
    found = task.grade(handin, launcher)
    assert found.points == 0
    assert (
        "scaling.py is missing; the hand-in has scaling.ipynb, which is not read." in found.remarks
    )
    assert found.results[0].feedback == "scaling.py is missing."
    found = task.grade(HandIn("s1", {"Scaling.py": solution.encode()}), launcher)
    assert "Scaling.py, which is not read" in found.remarks[0]
    names = ("submit.py", "tests/test_scaling.py", "scaling_\x1bfinal.py", "report.md")
    found = task.grade(HandIn("s1", dict.fromkeys(names, b"")), launcher)
    assert found.remarks[0] == (
        "scaling.py is missing; the hand-in has scaling_?final.py, which is not read."
    )
    assert task.grade(HandIn("s1"), launcher).remarks == ("The hand-in is empty.",)


def test_a_hand_in_of_another_student_fails(task, launcher, solution):
    files = {"scaling.py": solution.encode(), "variant.json": task.variant_file("s2")}
    found = task.grade(HandIn("s1", files), launcher)
    assert found.results[0].points == 0
    assert found.remarks[-1] == (
        "variant.json is not the file of this student's bundle; it is that of s2 for a9."
    )
    for text in (b"[]", b'{"student": ["s1"], "assignment": {}}', b'{"student": "<b>"}', b"{"):
        found = task.grade(HandIn("s1", files | {"variant.json": text}), launcher)
        assert found.remarks[-1].endswith("of this student's bundle.")
    text = b'{"student": "s1", "assignment": "a9", "factor": 0}'
    found = task.grade(HandIn("s1", files | {"variant.json": text}), launcher)
    assert "constants were changed, or belong to another key" in found.remarks[-1]


def zip_of(path: Path, *names: str, mode: int = 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "/etc/passwd")
    return path


@pytest.mark.parametrize(
    ("names", "mode", "reason"),
    [
        (["../scaling.py"], 0o644, "leads out of the hand-in"),
        (["/etc/scaling.py"], 0o644, "leads out of the hand-in"),
        (["a\\..\\scaling.py"], 0o644, "leads out of the hand-in"),
        (["C:scaling.py"], 0o644, "leads out of the hand-in"),
        (["scaling.py"], 0o120777, "is a symbolic link"),
        ([f"{n}.py" for n in range(300)], 0o644, "more than 200 files"),
    ],
)
def test_zip_files_with_paths_and_links_are_refused(tmp_path, names, mode, reason):
    found = read_handin(zip_of(tmp_path / "s1.zip", *names, mode=mode))
    assert found.student == "s1" and not found.files
    assert reason in found.refused


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "s1.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.py", bytes(LARGEST + 1))
    assert path.stat().st_size < 100_000
    assert "larger than 20 MiB" in read_handin(path).refused


def test_links_and_pipes_in_folders_are_refused(tmp_path):
    for name in ("s1", "s2", "s3"):
        (tmp_path / name).mkdir()
    (tmp_path / "s1" / "scaling.py").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "s2" / "scaling.py")
    (tmp_path / "s3" / "folder").symlink_to("/etc")
    (tmp_path / "s4").symlink_to("/etc")
    (tmp_path / "s5.zip").write_text("no zip")
    (tmp_path / "=cmd().zip").write_text("")
    found = {each.student: each.refused for each in read_handins(tmp_path)}
    assert "symbolic link" in found["s1"] and "symbolic link" in found["s3"]
    assert "not a regular file" in found["s2"]
    assert "symbolic link" in found["s4"]
    assert "neither a zip file nor a folder" in found["s5"]
    assert "not an id" in found["x_cmd__"]


ROSTER = ["berg", "anna", "bo", "anna.berg", "s1", "s12"]


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("anna", "anna"),
        ("berganna_LATE_93842_11873_anna-1", "anna"),
        ("Anna Berg_123456_assignsubmission_file_ANNA.BERG", "anna.berg"),
        ("12345-6789 - Bo Ek - Nov 3, 2026 345 PM - bo (2)", "bo"),
        ("x_s12", "s12"),
        ("x_s1-2", "s1"),
        ("johanna", ""),
        ("x_anna\n", ""),
        ("anna_LATE", ""),
        ("", ""),
    ],
)
def test_the_end_of_a_file_name_names_the_student(name, student):
    assert find_student(name, ROSTER) == student
    assert find_student(name, []) == ""


def test_a_learning_platform_may_rename_hand_ins(tmp_path):
    (tmp_path / "anna.tar.gz").write_text("no zip file")
    for name in ("anna.zip", "x_1_anna.zip", "x_2_bo.zip", "cem.zip", "=dan.zip"):
        zip_of(tmp_path / name, "scaling.py")
    folder = tmp_path / "Eva Lund_7_assignsubmission_file_"
    folder.mkdir()
    zip_of(folder / "eva.zip", "scaling.py")
    roster = ["bo", "eva", "anna", "fay", "x_dan"]
    found = read_handins(tmp_path, roster)
    assert [each.student for each in found] == [*roster, "anna.tar.gz", "anna_2", "cem"]
    refused = {each.student: each.refused for each in found}
    assert refused["bo"] == refused["eva"] == refused["anna"] == ""
    assert refused["fay"] == ABSENT
    assert refused["anna_2"] == "there is another hand-in of anna."
    assert refused["anna.tar.gz"] == "anna.tar.gz is neither a zip file nor a folder."
    assert "end with an id of the roster" in refused["cem"]
    assert all("scaling.py" in each.files for each in found[:3])


def test_no_name_takes_the_place_of_another_student(tmp_path):
    zip_of(tmp_path / "=dan.zip", "scaling.py")
    zip_of(tmp_path / "x_dan.zip", "scaling.py")
    found = {each.student: each for each in read_handins(tmp_path)}
    assert not found["x_dan"].refused and found["x_dan_2"].refused


def test_a_zip_file_alone_in_a_folder_is_the_hand_in(tmp_path):
    (tmp_path / "s1").mkdir()
    zip_of(tmp_path / "s1" / "anything.zip", "scaling.py")
    assert "scaling.py" in read_handin(tmp_path / "s1").files
    (tmp_path / "s2").mkdir()
    (tmp_path / "s2" / "a.zip").symlink_to(tmp_path / "s1" / "anything.zip")
    assert "symbolic link" in read_handin(tmp_path / "s2").refused


def test_a_class_with_hostile_hand_ins_loses_nobody(task, solution):
    def files(student: str, source: str) -> dict[str, bytes]:
        return {"scaling.py": source.encode(), "variant.json": task.variant_file(student)}

    handins = [HandIn(f"s{n}", files(f"s{n}", solution)) for n in range(4)]
    handins.insert(1, HandIn("kill", files("kill", "import os\nos.kill(os.getppid(), 9)")))
    handins.insert(2, HandIn("fork", files("fork", "import os\nwhile True: os.fork()")))
    handins.insert(3, HandIn("refused", refused="it is a bomb."))
    with launch(2) as launchers:
        one, two = (list(grade_all(task, handins, launchers[:jobs])) for jobs in (1, 2))
    assert [each.student for each in one] == [each.student for each in handins]
    assert [each.points for each in one] == [3, 0, 0, 0, 3, 3, 3]
    assert one == two
    assert "refused: it is a bomb." in one[3].remarks[0]

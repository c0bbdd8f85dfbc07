"""In a notebook: cells, what they print, interrupts, the end of a kernel."""

import os
import time

import pytest

from conftest import alive

pytest.importorskip("ipykernel")
client = pytest.importorskip("jupyter_client")

FIRST = """
import os, threading, time
import numpy as np, parfork as pf
np.ones((300, 300)) @ np.ones((300, 300))
a = pf.array(np.arange(12.0).reshape(6, 2))
class Thing:
    def __init__(self, x): self.x = x
def thing(x):
    print("made", x)
    return Thing(x + offset)
offset = 3
"""


@pytest.fixture
def kernel():
    # Within pytest a kernel does not show what processes print.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    manager, channels = client.manager.start_new_kernel(kernel_name="python3", env=environment)
    try:
        yield manager, Cells(channels)
    finally:
        channels.stop_channels()
        manager.shutdown_kernel(now=True)


class Cells:
    """Runs cells, and gathers what they show."""

    def __init__(self, channels):
        self.channels = channels

    def run(self, code: str, then=lambda: None) -> tuple[str, str, str]:
        """What a cell printed, the HTML or text of its value, and its error; ``then`` is called when it has printed `now`."""
        printed = value = error = ""
        request = self.channels.execute(code)
        while True:
            message = self.channels.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    printed += content["text"]
                    if "now" in content["text"]:
                        then()
                case "execute_result":
                    value = content["data"].get("text/html", content["data"]["text/plain"])
                case "error":
                    error = content["ename"]
                case "status" if content["execution_state"] == "idle":
                    return printed, value, error


def test_cells(kernel):
    manager, cells = kernel
    assert cells.run(FIRST) == ("", "", "")
    printed, value, error = cells.run("[thing.x for thing in pf.map(thing, range(4))]")
    assert (sorted(printed.split()), value, error) == (sorted("made 0 made 1 made 2 made 3".split()), "[3, 4, 5, 6]", "")
    assert cells.run("offset = 7\npf.map_blocks(lambda x: x + offset, a).sum()") == ("", "np.float64(150.0)", "")
    assert "<table>" in cells.run("pf.report()")[1]
    assert cells.run("pf.map(lambda x: 1 / x, [0])")[2] == "ZeroDivisionError"
    printed, _, error = cells.run("pf.map(lambda x: (print('now', flush=True), time.sleep(1000)), [0])", manager.interrupt_kernel)
    assert error == "KeyboardInterrupt"
    assert cells.run("pf.map(abs, [-1])")[1] == "[1]"
    pids = cells.run("pf.map(lambda _: (os.getpid(), os.getppid()), [0])")[1]
    pids = [int(pid) for pid in pids.strip("[]()").split(",")]
    assert all(map(alive, pids))
    manager.shutdown_kernel(now=True)
    until = time.monotonic() + 60
    while any(map(alive, pids)):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_readme_runs_as_printed_in_cells(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(folder, "README.md")) as file:
        blocks = [block.split("```")[0] for block in file.read().split("```python\n")[1:]]
    assert len(blocks) >= 3
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(block) for block in blocks])
    # Raises what a cell raises.
    nbclient.NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)
    assert "slices in" in printed and "SIGKILL" in printed
